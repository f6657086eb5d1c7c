"""PriceNetworks and members for tests that need some."""

from __future__ import annotations

from typing import Any

from gossip_price.crypto import get_address
from gossip_price.network.document import Member
from gossip_price.network.keys import compute_peer_id, format_address

NETWORK_ID = bytes(range(32))


def make_raw(spec: object = None, **fields: object) -> dict[str, Any]:
    return {
        "apiVersion": "gossip-price.io/v1alpha1",
        "kind": "PriceNetwork",
        "metadata": {"name": "test"},
        "spec": fields if spec is None else spec,
    }


def make_members(count: int) -> list[Member]:
    return [
        Member(
            format_address(get_address((100 + k).to_bytes(32, "big"))),
            compute_peer_id((500 + k).to_bytes(32, "big")),
        )
        for k in range(count)
    ]
