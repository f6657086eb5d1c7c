"""Messages that a test writes in a member's name, true and false ones, and who is when.

Only what a member could send: it has its own keys and whatever it has heard.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gossip_price import crypto
from gossip_price.core.rounds import order_proposers, order_writers
from gossip_price.core.testimony import encode_heard
from gossip_price.core.types import Entry
from gossip_price.core.wire import WIRE_VERSION, Envelope, Heartbeat, Receipt, decode, encode
from networks import PAIR, SampleNetwork
from world import STORE

_UNSIGNED = bytes(65)


def get_ranked(network: SampleNetwork, round_index: int, *, pair: str = PAIR) -> list[int]:
    """Return the members' indices in the order in which they may propose."""
    document = network.document
    order = order_proposers(document, pair, network.round(round_index))
    return [document.index_by_address[address] for address in order]


def get_writers(network: SampleNetwork, slot: int, members: Sequence[int]) -> list[int]:
    """Return `members` (indices) in the order in which they may write."""
    document = network.document
    order = order_writers(STORE, slot, [document.addresses[member] for member in members])
    return [document.index_by_address[address] for address in order]


def pack(
    *entries: Entry, receipts: Sequence[Receipt] = (), heartbeats: Sequence[Heartbeat] = ()
) -> bytes:
    """Return the bytes of an envelope."""
    return encode(Envelope(WIRE_VERSION, tuple(entries), tuple(receipts), tuple(heartbeats)))


def make_receipt(
    network: SampleNetwork,
    writer: int,
    ids: Sequence[bytes],
    *,
    store: bytes = STORE,
    signer: int | None = None,
) -> Receipt:
    """Return member `writer`'s receipt; `signer` is whose key it has, if another's."""
    document = network.document
    receipt = Receipt(document.addresses[writer], store, document.start, tuple(ids), _UNSIGNED)
    secret = network.signing_secrets[writer if signer is None else signer]
    signature = crypto.sign(secret, receipt.compute_digest(document.separator))
    return msgspec.structs.replace(receipt, signature=signature)


def make_heartbeat(
    network: SampleNetwork,
    member: int,
    *,
    boot: int = 1,
    sequence: int = 1,
    store: bytes = STORE,
    epoch: bytes | None = None,
    clock_ms: int = 0,
    connected: bytes = b"",
    heard: bytes | None = None,
    observed: bytes = b"",
    open_: bytes = b"",
    roots: bytes = b"",
    signer: int | None = None,
) -> Heartbeat:
    """Return member `member`'s heartbeat; `signer` is whose key it has, if another's.

    `heard`: nothing of anybody, if left out.
    """
    document = network.document
    beat = Heartbeat(
        document.addresses[member],
        boot,
        sequence,
        epoch or document.hash,
        clock_ms,
        store,
        "t",
        connected,
        encode_heard([0] * len(document.members)) if heard is None else heard,
        observed,
        open_,
        roots,
        _UNSIGNED,
    )
    secret = network.signing_secrets[member if signer is None else signer]
    signature = crypto.sign(secret, beat.compute_digest(document.separator))
    return msgspec.structs.replace(beat, signature=signature)


def carries_entries(data: bytes) -> bool:
    return bool(decode(data).entries)


def carries_receipts(data: bytes) -> bool:
    return bool(decode(data).receipts)
