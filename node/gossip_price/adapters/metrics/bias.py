"""Does a proposer shade its prices? What each proposed, beside what we saw of the same round.

A proposer may differ from the others by up to maxDeviation, each round, and still get its quorum.
One round says nothing (sources differ); the mean over many says whose prices lean to one side.
Two sums and a count, which rates and restarts leave right: a mean is
`(rate(above) - rate(below)) / rate(count)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry

from gossip_price.adapters.metrics.bounded import Bounded
from gossip_price.adapters.metrics.families import Family
from gossip_price.core.events import Note
from gossip_price.network.keys import format_address

#: Observations of ours that wait for their rounds to settle: of 64 pairs the last 16 rounds.
_OBSERVATIONS_MAX: Final = 1_024

_COMPARED = Family(
    "counter",
    "gossip_price_proposer_prices_compared_total",
    "How many settled prices of each other proposer had we seen a price for ourselves?",
    ("member",),
)
_BIAS = Family(
    "counter",
    "gossip_price_proposer_bias_ratio_total",
    "By which share of our own prices, summed up, were a proposer's above or below them?",
    ("member", "side"),
)
BIAS_FAMILIES: Final = (_COMPARED, _BIAS)


class ProposerBias:
    """Compares what settled with what we saw. `me` is our address: of ourselves there is none."""

    def __init__(self, registry: CollectorRegistry, me: bytes, members: Bounded) -> None:
        self._me = me
        self._members = members
        self._compared = _COMPARED.make_counter(registry)
        self._bias = _BIAS.make_counter(registry)
        self._seen: dict[tuple[str, int], int] = {}

    def add_members(self, addresses: Iterable[str]) -> None:
        """Begin the series of these members at zero."""
        own = format_address(self._me) if self._me else ""
        for address in addresses:
            if address != own:
                member = self._members.take(address)
                self._compared.labels(member)
                for side in ("above", "below"):
                    self._bias.labels(member, side)

    def process_observed(self, note: Note) -> None:
        """Keep what we saw ourselves."""
        self._seen[note.pair, note.round] = note.price
        while len(self._seen) > _OBSERVATIONS_MAX:
            del self._seen[next(iter(self._seen))]

    def process_settled(self, note: Note) -> None:
        """Compare: only now, because a quorum may be there before our own observation is."""
        seen = self._seen.get((note.pair, note.round))
        if not seen or not note.proposer or note.proposer == self._me:
            return
        member = self._members.take(format_address(note.proposer))
        self._compared.labels(member).inc()
        side = "above" if note.price > seen else "below"
        self._bias.labels(member, side).inc(abs(note.price - seen) / seen)
