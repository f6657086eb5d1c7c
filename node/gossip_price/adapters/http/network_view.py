"""`/api/v1/network` as JSON values: who is on the roster, who is there, who hears whom. Pure.

Puts together what the machine knows of the members and the transport of its connections. All of
what members say of themselves comes as they said it, bounded by the wire and nothing else: whoever
shows it treats it as text of a stranger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gossip_price.adapters.rfc3339 import format_ms, format_s
from gossip_price.core.hearing import (
    MemberPresence,
    compute_clock_offsets_ms,
    compute_state,
    find_deaf,
    find_isolated,
    is_present,
    make_matrix,
)
from gossip_price.core.limits import HEARTBEAT_MISSED
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Now
from gossip_price.network.document import Document
from gossip_price.network.keys import format_address
from gossip_price.ports import Connection

#: Connections named one by one: all members of the largest network, and then some listeners.
CONNECTIONS_MAX: Final = 512
PROBLEM_CHARS_MAX: Final = 500


@dataclass(frozen=True)
class NetworkFacts:
    """What the view is made of, all of it of one moment.

    `document` is the epoch in force; `presences` are of its members, by index, and empty at a
    bootstrap, which hears no heartbeats. `me` is our address, None without a signing key;
    `is_simulated` is of the prices that we fetch, None if we fetch none.
    """

    now: Now
    document: Document
    me: bytes | None
    is_bootstrap: bool = False
    is_simulated: bool | None = False
    presences: Sequence[MemberPresence] = ()
    connections: Collection[Connection] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


def describe_network(facts: NetworkFacts) -> dict[str, Any]:
    """Return the answer of `/api/v1/network`."""
    document, presences = facts.document, facts.presences
    return {
        "now": format_ms(facts.now.wall_ms),
        "networkId": document.network_id,
        "me": None if facts.me is None else format_address(facts.me),
        "role": _find_role(facts),
        "simulated": facts.is_simulated,
        "epoch": {
            "number": document.epoch,
            "hash": "0x" + document.hash.hex(),
            "start": format_s(document.start),
        },
        "mode": document.mode.value,
        "interval": document.interval,
        "minimumSigners": document.minimum_signers,
        "settle": document.settle,
        "skew": document.skew,
        "pairs": [{"pair": terms.pair, "decimals": terms.decimals} for terms in document.pairs],
        "members": _describe_members(facts),
        "matrix": _describe_matrix(presences),
        "isolated": [format_address(member) for member in find_isolated(presences)],
        "deaf": [format_address(member) for member in find_deaf(presences)],
        "connections": _describe_connections(facts),
        "quorum": _describe_quorum(facts),
        "problems": {name: text[:PROBLEM_CHARS_MAX] for name, text in facts.problems.items()},
    }


def _find_role(facts: NetworkFacts) -> str:
    if facts.is_bootstrap:
        return "bootstrap"
    return "member" if facts.me in facts.document.index_by_address else "listener"


def _describe_members(facts: NetworkFacts) -> list[dict[str, Any]]:
    by_member = {presence.member: presence for presence in facts.presences}
    offsets = compute_clock_offsets_ms(facts.presences)
    connected = {connection.peer for connection in facts.connections}
    described = []
    for index, address in enumerate(facts.document.addresses):
        peer_id = facts.document.members[index].peer_id
        said = _describe_said(by_member.get(address), facts)
        described.append(
            {
                "index": index,
                "address": format_address(address),
                "peerId": peer_id,
                "me": address == facts.me,
                "connected": peer_id in connected,
                **said,
                "clockOffsetMs": offsets.get(address),
            }
        )
    return described


def _describe_said(presence: MemberPresence | None, facts: NetworkFacts) -> dict[str, Any]:
    """Return what a member's newest heartbeat says; null where nothing is known."""
    heard = presence is not None and presence.received is not None
    said: dict[str, Any] = dict.fromkeys(
        ("version", "boot", "lastSeen", "silentMs", "peers", "database")
    )
    said["state"] = None if presence is None else compute_state(presence).value
    said["observations"] = []
    if presence is None or presence.received is None or not heard:
        return said
    index = facts.document.index_by_address
    return said | {
        "version": presence.version,
        "boot": format_ms(presence.boot),
        "lastSeen": format_ms(presence.received.wall_ms),
        "silentMs": max(0, facts.now.mono_ms - presence.received.mono_ms),
        "peers": sorted(index[member] for member in presence.connected if member in index),
        "observations": [
            _describe_seen(seen, facts.document)
            for seen in presence.observed
            if seen.pair in facts.document.terms_by_pair
        ],
        "database": presence.store is not None,
    }


def _describe_seen(seen: Seen, document: Document) -> dict[str, Any]:
    decimals = document.terms_by_pair[seen.pair].decimals
    price = format(Decimal(seen.price).scaleb(-decimals), "f")
    return {"pair": seen.pair, "round": seen.round, "price": price}


def _describe_matrix(presences: Sequence[MemberPresence]) -> dict[str, Any]:
    """Row by row who says what: counts since its boot, and whether it hears the column now."""
    rows = [
        {
            "member": format_address(one.member),
            "heard": counts,
            "hears": [
                None if (age := one.unheard.get(other.member)) is None else age <= HEARTBEAT_MISSED
                for other in presences
            ],
        }
        for one, counts in zip(presences, make_matrix(presences), strict=True)
    ]
    return {"members": [row["member"] for row in rows], "rows": rows}


def _describe_connections(facts: NetworkFacts) -> dict[str, Any]:
    index_by_peer = facts.document.index_by_peer
    # Members first, so that in an open network the bound leaves out strangers.
    ordered = sorted(
        facts.connections,
        key=lambda one: (index_by_peer.get(one.peer, len(index_by_peer)), one.peer),
    )
    return {
        "peers": len(ordered),
        "members": sum(one.peer in index_by_peer for one in ordered),
        "inbound": sum(one.is_inbound for one in ordered),
        "outbound": sum(not one.is_inbound for one in ordered),
        "list": [
            {
                "peerId": one.peer,
                "member": index_by_peer.get(one.peer),
                "direction": "inbound" if one.is_inbound else "outbound",
                "since": format_ms(one.since_ms),
                "pingMs": None if one.ping_ms is None else round(one.ping_ms, 1),
            }
            for one in ordered[:CONNECTIONS_MAX]
        ],
    }


def _describe_quorum(facts: NetworkFacts) -> dict[str, Any]:
    needed = facts.document.minimum_signers
    if not facts.presences:
        return {"alive": None, "needed": needed, "margin": None}
    alive = sum(is_present(presence) for presence in facts.presences)
    return {"alive": alive, "needed": needed, "margin": alive - needed}
