"""What the epoch in force says, read at a scrape: alerts take their thresholds from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family
from gossip_price.network.epochs import EpochChain

_EPOCH = Family("gauge", "gossip_price_epoch", "Which epoch is in force?")
_EPOCH_NEWEST = Family(
    "gauge", "gossip_price_epoch_newest", "Which is the last epoch that we know, announced or not?"
)
_MEMBERS = Family("gauge", "gossip_price_members", "How many members has the epoch in force?")
_IS_MEMBER = Family(
    "gauge",
    "gossip_price_is_member",
    "Are we a member of the epoch in force (1) or a listener (0)?",
)
_MINIMUM_SIGNERS = Family(
    "gauge", "gossip_price_minimum_signers", "How many members must sign a price?"
)
_INTERVAL = Family("gauge", "gossip_price_interval_seconds", "How long is a round?")
_EXPECTED_SINCE = Family(
    "gauge",
    "gossip_price_rounds_expected_since_timestamp_seconds",
    "Since when may prices be expected: since our start, or the epoch's if that was later?",
)
_SETTLE_CAP = Family(
    "gauge",
    "gossip_price_settle_cap_seconds",
    "How long after it was proven is a price settled at the latest?",
)
_SKEW = Family(
    "gauge", "gossip_price_skew_seconds", "How far may members' clocks be apart at most?"
)
_MAX_DEVIATION = Family(
    "gauge",
    "gossip_price_max_deviation_ratio",
    "By which share of its own price may a member sign a report that differs?",
)
TERM_FAMILIES: Final = (
    _EPOCH,
    _EPOCH_NEWEST,
    _MEMBERS,
    _IS_MEMBER,
    _MINIMUM_SIGNERS,
    _INTERVAL,
    _EXPECTED_SINCE,
    _SETTLE_CAP,
    _SKEW,
    _MAX_DEVIATION,
)


class TermsCollector(Collector):
    """Shows the epoch in force. `me` is our 20-byte address, `wall_s` the time in Unix seconds."""

    def __init__(
        self, get_chain: Callable[[], EpochChain], me: bytes, wall_s: Callable[[], int]
    ) -> None:
        self._get_chain = get_chain
        self._me = me
        self._wall_s = wall_s
        self._started_s = wall_s()

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        chain = self._get_chain()
        document = chain.get_current(self._wall_s())
        yield _EPOCH.show(document.epoch)
        yield _EPOCH_NEWEST.show(chain.newest.epoch)
        yield _MEMBERS.show(len(document.members))
        yield _IS_MEMBER.show(self._me in document.index_by_address)
        yield _MINIMUM_SIGNERS.show(document.minimum_signers)
        yield _INTERVAL.show(document.interval)
        yield _EXPECTED_SINCE.show(max(self._started_s, document.start))
        yield _SETTLE_CAP.show(document.settle_cap)
        yield _SKEW.show(document.skew)
        yield _MAX_DEVIATION.show(document.max_deviation / 10_000)
