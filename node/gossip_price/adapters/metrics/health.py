"""Why a node does not take part, and what it was too busy for, read at a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family

#: What /readyz may name; each is shown from the start, with 0.
PROBLEMS: Final = ("clock", "journal", "peers", "protocol")

_PROBLEM = Family(
    "gauge",
    "gossip_price_problem",
    "What keeps this node from taking part (1), as /readyz names it, and what does not (0)?",
    ("problem",),
)
_DROPPED = Family(
    "counter",
    "gossip_price_messages_dropped_total",
    "How many messages, of others or of ours, were dropped because too many waited?",
)
HEALTH_FAMILIES: Final = (_PROBLEM, _DROPPED)


class HealthCollector(Collector):
    """Shows what `find_problems` names, and how many messages the engine dropped."""

    def __init__(
        self, find_problems: Callable[[], Mapping[str, str]], get_dropped: Callable[[], int]
    ) -> None:
        self._find_problems = find_problems
        self._get_dropped = get_dropped

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        problems = self._find_problems()
        yield _PROBLEM.show_all(
            {(name,): name in problems for name in sorted({*PROBLEMS, *problems})}
        )
        yield _DROPPED.show(self._get_dropped())
