"""What waits in this node and how long already, read from the machine at a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family
from gossip_price.core.backlog import Backlog
from gossip_price.network.document import Document

_UNSETTLED = Family(
    "gauge", "gossip_price_unsettled_reports", "How many proven reports have not settled yet?"
)
_UNSETTLED_AGE = Family(
    "gauge",
    "gossip_price_unsettled_oldest_age_seconds",
    "How long ago was the oldest report proven that has not settled, 0 if there is none?",
)
_UNSTORED = Family(
    "gauge",
    "gossip_price_unstored_rows",
    "How many settled prices is nobody known to have stored?",
)
_UNSTORED_AGE = Family(
    "gauge",
    "gossip_price_unstored_oldest_age_seconds",
    "How long ago had the oldest price its last signer that nobody is known to have stored?",
)
_STORED_ROUND = Family(
    "gauge",
    "gossip_price_stored_round_timestamp_seconds",
    "Which round (its start) is the newest stored price of, by us or by another's word?",
    ("pair",),
)
BACKLOG_FAMILIES: Final = (_UNSETTLED, _UNSETTLED_AGE, _UNSTORED, _UNSTORED_AGE, _STORED_ROUND)

_JOURNAL_SIZE = Family(
    "gauge", "gossip_price_journal_size_bytes", "How large are the journal's files together?"
)
JOURNAL_FAMILIES: Final = (_JOURNAL_SIZE,)


class BacklogCollector(Collector):
    """Shows what `describe` says of the machine now.

    Each pair of `get_document()`, the epoch in force, has a stored round; 0 where none is known.
    """

    def __init__(
        self, describe: Callable[[], Backlog], get_document: Callable[[], Document]
    ) -> None:
        self._describe = describe
        self._get_document = get_document

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        backlog = self._describe()
        yield _UNSETTLED.show(backlog.unsettled)
        yield _UNSETTLED_AGE.show(backlog.unsettled_age_ms / 1_000)
        yield _UNSTORED.show(backlog.unstored)
        yield _UNSTORED_AGE.show(backlog.unstored_age_ms / 1_000)
        pairs = [terms.pair for terms in self._get_document().pairs]
        yield _STORED_ROUND.show_all(
            {(pair,): backlog.stored_rounds.get(pair, 0) for pair in pairs}
        )


class JournalCollector(Collector):
    """Shows the size of the SQLite file `path` with its write-ahead log."""

    def __init__(self, path: Path) -> None:
        self._files = (path, path.with_name(path.name + "-wal"))

    def collect(self) -> Iterable[Metric]:
        """Return what is true now; a file that is not there has no bytes."""
        yield _JOURNAL_SIZE.show(sum(_measure(file) for file in self._files))


def _measure(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
