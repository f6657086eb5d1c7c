"""What a node says of itself on the announce topic: a JSON list of its addresses. Pure.

The gossip layer signs it; here is only the content, read as a stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from gossip_price.adapters.libp2p.book import ADDRESSES_MAX
from gossip_price.network.multiaddrs import Address, parse_multiaddr

ANNOUNCEMENT_BYTES_MAX: Final = 2048


def name_announce_topic(network_id: bytes) -> str:
    """Return the topic on which a network's nodes announce their addresses."""
    return f"gossip-price/{network_id.hex()}/peers/1"


def name_message_topic(network_id: bytes) -> str:
    """Return the topic of a network's messages."""
    return f"gossip-price/{network_id.hex()}/1"


def encode_announcement(addresses: Iterable[Address]) -> bytes:
    """Write addresses, at most ADDRESSES_MAX of them."""
    return json.dumps([str(address) for address in addresses][:ADDRESSES_MAX]).encode()


def parse_announcement(data: bytes) -> tuple[str, ...] | None:
    """Read the addresses of an announcement; None if it is none.

    Nobody can be dialed at `any interface`, and who is there is proven by the handshake, so
    a peer id within an address is refused rather than compared.
    """
    if len(data) > ANNOUNCEMENT_BYTES_MAX:
        return None
    try:
        texts = json.loads(data)
        if not isinstance(texts, list) or not 0 < len(texts) <= ADDRESSES_MAX:
            return None
        addresses = [parse_multiaddr(text) for text in texts if isinstance(text, str)]
    except (ValueError, RecursionError):
        return None
    if len(addresses) != len(texts):
        return None
    if any(address.peer_id or address.is_unspecified or not address.port for address in addresses):
        return None
    return tuple(map(str, addresses))
