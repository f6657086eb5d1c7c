"""When a network counts as degraded, each reason in a sentence; docs/status.md lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gossip_price.adapters.overview.answers import Member, Overview
from gossip_price.network.keys import shorten

#: Beside its settling, a price may be this many rounds old: one round lost is nobody's alarm.
ROUNDS_MAX: Final = 3
_PRESENT: Final = ("alive", "late")


def find_reasons(overview: Overview) -> list[str]:
    """Return why the network is degraded, as this node sees it; nothing if it is healthy."""
    return [
        *_find_in_node(overview),
        *_find_in_members(overview),
        *_find_in_prices(overview),
    ]


def name(member: Member) -> str:
    """Name a member by its index and address, shortened as everywhere."""
    return f"member {member.index} ({shorten(member.address)})"


def compute_price_age_max_s(overview: Overview) -> int:
    """Return how long ago the newest settled price's round may have begun."""
    network = overview.network
    return network.settle + ROUNDS_MAX * network.interval


def _find_in_node(overview: Overview) -> Iterator[str]:
    for problem, text in overview.network.problems.items():
        yield f"this node is not ready: {problem}: {text}"
    if overview.status.database.reachable is False:
        yield "this node does not reach its database; prices wait in the journals"
    if overview.network.role == "bootstrap" and not overview.network.connections.members:
        yield "no member is connected to this bootstrap: it can introduce newcomers to nobody"


def _find_in_members(overview: Overview) -> Iterator[str]:
    network = overview.network
    quorum = network.quorum
    if quorum.margin is not None and quorum.margin < 0:
        yield f"no quorum: {quorum.alive} members are there, {quorum.needed} must sign"
    for member in network.members:
        if member.state == "silent":
            yield f"{name(member)} is silent for {(member.silent_ms or 0) // 1000} s"
        elif member.state == "never":
            yield f"{name(member)} was never heard since this node started"
        elif member.address in network.isolated:
            yield f"{name(member)} is isolated: the other members do not hear it"
        if member.address in network.deaf:
            yield f"{name(member)} is deaf: it does not hear members that others hear"
        offset_ms = member.clock_offset_ms or 0
        if abs(offset_ms) > network.skew * 1_000:
            yield (
                f"the clock of {name(member)} is off by {offset_ms / 1000:+.1f} s,"
                f" allowed: {network.skew} s"
            )
    present = [member for member in network.members if member.state in _PRESENT]
    if present and not any(member.database for member in present):
        yield "no member has a database: prices are proven and not stored"


def _find_in_prices(overview: Overview) -> Iterator[str]:
    network = overview.network
    if network.role == "bootstrap":
        return  # it sees no prices
    prices = {price.pair: price for price in overview.status.prices}
    allowed_s = compute_price_age_max_s(overview)
    for pair in (named.pair for named in network.pairs):
        price = prices.get(pair)
        if price is None:
            yield f"{pair}: this node knows of no settled price yet"
            continue
        age_s = int(network.now.timestamp()) - price.round
        if age_s > allowed_s:
            yield f"{pair}: the newest settled price is {age_s} s old, allowed: {allowed_s} s"
