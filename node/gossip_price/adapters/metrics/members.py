"""One series for each member of the epoch in force, read from heartbeats and connections.

The label is the member's address: the roster bounds it, and a stranger has none. Each node shows
what it hears itself; the rows of all nodes together are the who-hears-whom matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family
from gossip_price.core.hearing import (
    MemberPresence,
    compute_clock_offsets_ms,
    find_deaf,
    find_isolated,
    is_present,
)
from gossip_price.core.types import Now
from gossip_price.network.document import Document
from gossip_price.network.keys import format_address
from gossip_price.ports import Connection


def _gauge(name: str, question: str) -> Family:
    return Family("gauge", f"gossip_price_{name}", question, ("member",))


_CONNECTED = _gauge("member_connected", "Have we a connection to this member (1) or not (0)?")
_PING = _gauge("member_ping_seconds", "How long did this member take to answer our last ping?")
_PRESENT = _gauge(
    "member_present", "Do heartbeats of this member come (1), or is it silent for us (0)?"
)
_AGE = _gauge(
    "member_heartbeat_age_seconds", "How long ago did this member's newest heartbeat come?"
)
_CLOCK = _gauge(
    "member_clock_offset_seconds", "How far is this member's clock ahead of the median?"
)
_HEARD = Family(
    "counter",
    "gossip_price_member_messages_heard_total",
    "How many messages of this member have we heard?",
    ("member",),
)
_ISOLATED = _gauge(
    "member_isolated", "Do most others say that they don't hear this member (1) or not (0)?"
)
_DEAF = _gauge(
    "member_deaf", "Does this member say that it hears not whom others hear (1), or not (0)?"
)
_OWN_CLOCK = Family(
    "gauge",
    "gossip_price_clock_offset_seconds",
    "How far is our clock ahead of the median of all members that are there?",
)
_THERE = Family(
    "gauge", "gossip_price_members_present", "How many members are there, ourselves included?"
)
_MARGIN = Family(
    "gauge",
    "gossip_price_quorum_margin",
    "How many members more than must sign are there (below 0: no price can be agreed on)?",
)
MEMBER_FAMILIES: Final = (
    _CONNECTED,
    _PING,
    _PRESENT,
    _AGE,
    _CLOCK,
    _HEARD,
    _ISOLATED,
    _DEAF,
    _OWN_CLOCK,
    _THERE,
    _MARGIN,
)


class MembersCollector(Collector):
    """Shows who is there, as the machine's `describe` and the p2p network tell.

    `get_document` returns the epoch in force.
    """

    def __init__(
        self,
        now: Callable[[], Now],
        get_document: Callable[[], Document],
        describe: Callable[[Now], Sequence[MemberPresence]],
        get_connections: Callable[[], Iterable[Connection]],
    ) -> None:
        self._now = now
        self._get_document = get_document
        self._describe = describe
        self._get_connections = get_connections

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        now, document = self._now(), self._get_document()
        presences = self._describe(now)
        me = next((one.member for one in presences if one.is_me), None)
        yield from self._show_connections(document, me)
        yield from _show_presences(presences, now)
        offsets = compute_clock_offsets_ms(presences)
        others = {member: offset for member, offset in offsets.items() if member != me}
        yield _show(_CLOCK, {member: offset / 1_000 for member, offset in others.items()})
        if me is not None:
            yield _OWN_CLOCK.show(offsets.get(me, 0) / 1_000)
        there = sum(is_present(one) for one in presences)
        yield _THERE.show(there)
        yield _MARGIN.show(there - document.minimum_signers)

    def _show_connections(self, document: Document, me: bytes | None) -> Iterable[Metric]:
        connections = {one.peer: one for one in self._get_connections()}
        by_peer = {
            member.peer_id: address
            for member, address in zip(document.members, document.addresses, strict=True)
            if address != me
        }
        yield _show(_CONNECTED, {address: peer in connections for peer, address in by_peer.items()})
        pings = {
            by_peer[peer]: one.ping_ms / 1_000
            for peer, one in connections.items()
            if peer in by_peer and one.ping_ms is not None
        }
        yield _show(_PING, pings)


def _show_presences(presences: Sequence[MemberPresence], now: Now) -> Iterable[Metric]:
    others = [one for one in presences if not one.is_me]
    isolated, deaf = find_isolated(presences), find_deaf(presences)
    yield _show(_PRESENT, {one.member: is_present(one) for one in others})
    yield _show(
        _AGE,
        {
            one.member: (now.mono_ms - one.received.mono_ms) / 1_000
            for one in others
            if one.received is not None
        },
    )
    # What others hear is theirs to export.
    heard = next((one.heard for one in presences if one.is_me), {})
    yield _show(_HEARD, {one.member: heard.get(one.member, 0) for one in others})
    yield _show(_ISOLATED, {one.member: one.member in isolated for one in presences})
    yield _show(_DEAF, {one.member: one.member in deaf for one in presences})


def _show(family: Family, values: Mapping[bytes, float]) -> Metric:
    return family.show_all({(format_address(member),): value for member, value in values.items()})
