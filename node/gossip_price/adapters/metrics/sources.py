"""How price sources answered, read at a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family

_ANSWERS = Family(
    "counter",
    "gossip_price_source_answers_total",
    "How did each price source answer, `ok` or with what trouble?",
    ("source", "outcome"),
)
SOURCE_FAMILIES: Final = (_ANSWERS,)


class SourceCollector(Collector):
    """Shows the answers of price sources, counted by (source, outcome) elsewhere."""

    def __init__(self, get_counters: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._get_counters = get_counters

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        answers = self._get_counters()
        yield _ANSWERS.show_all({(source, how): count for (source, how), count in answers.items()})
