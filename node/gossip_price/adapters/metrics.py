"""What happened, as numbers: notes of the machine and counters of the adapters for Prometheus.

Knows nothing of logs or HTTP. Every label has few values: pairs are the network's own, reasons
are our own words, and what a stranger could choose (addresses, peer ids) is no label.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gossip_price import __version__
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.document import PAIRS_MAX

#: Different reasons one label may take; the code has about forty.
REASONS_MAX: Final = 64
_REASON = re.compile(r"[a-z0-9_]{1,40}")
_OTHER: Final = "other"


class _Count(NamedTuple):
    name: str
    help: str
    labels: tuple[str, ...] = ()


#: The counter of each kind of note. Each help text is the question that the number answers.
_COUNTS: Final[Mapping[NoteKind, _Count]] = {
    NoteKind.OBSERVED: _Count(
        "gossip_price_observations_total", "How often did we see a price ourselves?", ("pair",)
    ),
    NoteKind.NOT_OBSERVED: _Count(
        "gossip_price_observations_missing_total",
        "How often did our own fetch end without a price, and why?",
        ("pair", "reason"),
    ),
    NoteKind.PROPOSED: _Count(
        "gossip_price_reports_proposed_total", "How many reports did we propose?", ("pair",)
    ),
    NoteKind.SIGNED: _Count(
        "gossip_price_signatures_given_total",
        "How many reports of other members did we sign?",
        ("pair",),
    ),
    NoteKind.COSIGNED: _Count(
        "gossip_price_signatures_merged_total",
        "How many new valid signatures, ours included, did we add to reports?",
        ("pair",),
    ),
    NoteKind.PROVEN: _Count(
        "gossip_price_reports_proven_total", "How many reports reached the quorum?", ("pair",)
    ),
    NoteKind.SETTLED: _Count(
        "gossip_price_reports_settled_total",
        "How many proven reports stopped gaining signers and were due to be stored?",
        ("pair",),
    ),
    NoteKind.EPOCH_KNOWN: _Count(
        "gossip_price_epochs_learnt_total", "How many epochs did we learn of in this life?"
    ),
    NoteKind.EPOCH_ENTERED: _Count(
        "gossip_price_epochs_entered_total", "How many epochs did we enter in this life?"
    ),
    NoteKind.EPOCH_REFUSED: _Count(
        "gossip_price_epochs_refused_total",
        "How often did a network file not go on where our epochs end?",
    ),
    NoteKind.PROTOCOL_UNKNOWN: _Count(
        "gossip_price_epochs_unknown_protocol_total",
        "How many epochs did we learn of whose protocol this version does not know?",
    ),
    NoteKind.STORED: _Count(
        "gossip_price_rows_stored_total", "How many rows did this node insert?", ("pair",)
    ),
    NoteKind.RECEIPT: _Count(
        "gossip_price_receipts_total",
        "How many reports did other members say that they had stored?",
        ("pair",),
    ),
    NoteKind.ROUND_LOST: _Count(
        "gossip_price_rounds_lost_total",
        "How many rounds ended without a proven price, and why?",
        ("pair", "reason"),
    ),
    NoteKind.WITHHELD: _Count(
        "gossip_price_signatures_withheld_total",
        "How many well-formed reports did we decide not to sign, and why?",
        ("pair", "reason"),
    ),
    NoteKind.EQUIVOCATION: _Count(
        "gossip_price_equivocations_total",
        "How often did a member sign two reports where it may sign one?",
    ),
    NoteKind.IGNORED: _Count(
        "gossip_price_ignored_total",
        "How much of what others sent was of no use, without anyone's fault, and why?",
        ("reason",),
    ),
    NoteKind.REJECTED: _Count(
        "gossip_price_rejected_total",
        "How much of what others sent was provably false, and why?",
        ("reason",),
    ),
    NoteKind.PUBLISHED: _Count(
        "gossip_price_messages_published_total", "How many gossip messages did we send?"
    ),
    NoteKind.ASKED: _Count(
        "gossip_price_questions_asked_total",
        "How often did we ask a peer for what its heartbeat named and gossip had not brought?",
    ),
    NoteKind.UNANSWERED: _Count(
        "gossip_price_questions_unanswered_total",
        "How many of our questions got no answer, and why?",
        ("reason",),
    ),
    NoteKind.ANSWERED: _Count(
        "gossip_price_questions_answered_total", "How many questions of peers did we answer?"
    ),
    NoteKind.HEALED: _Count(
        "gossip_price_reports_healed_total",
        "How many reports gained signatures because we asked for them?",
        ("pair",),
    ),
    NoteKind.CAUGHT_UP: _Count(
        "gossip_price_catchups_total",
        "How often did a peer's tree of a day give us what we lacked?",
    ),
    NoteKind.POISON: _Count(
        "gossip_price_rows_refused_total", "How many rows did the database refuse for good?"
    ),
    NoteKind.AUDITED: _Count(
        "gossip_price_audits_total",
        "How often was the database audited to the end, the last hours or all?",
        ("reason",),
    ),
    NoteKind.AUDIT_FAILED: _Count(
        "gossip_price_audit_failures_total", "How often could the audit not read or mend a page?"
    ),
    NoteKind.RESTORED: _Count(
        "gossip_price_rows_restored_total",
        "How many rows were missing in the database, and were inserted again by us?",
    ),
    NoteKind.QUARANTINED: _Count(
        "gossip_price_rows_quarantined_total",
        "How many rows did we find false and move to quarantine, and what was wrong with them?",
        ("reason",),
    ),
    NoteKind.LEFT_ALONE: _Count(
        "gossip_price_rows_left_alone_total",
        "How many rows did audits meet whose epoch we do not know?",
    ),
    NoteKind.LATE_SIGNED: _Count(
        "gossip_price_late_signature_batches_total",
        "How often did we add signatures that came after their row was settled?",
    ),
    NoteKind.CLOCK_STEPPED: _Count(
        "gossip_price_clock_steps_total", "How often did this machine's wall clock jump?"
    ),
    NoteKind.JOURNAL_FAILED: _Count(
        "gossip_price_journal_failures_total", "How often could the journal not be written?"
    ),
    NoteKind.STORE_DOWN: _Count(
        "gossip_price_store_failures_total", "How often was the database found not to answer?"
    ),
}

#: Settling is 30 s by default and stored within 31: finer around there, coarse after an outage.
_STORE_BUCKETS_S: Final = (1, 5, 10, 20, 29, 30, 30.5, 31, 32, 35, 40, 60, 120, 600, 3_600)


def make_registry() -> CollectorRegistry:
    """Return a registry of one process's own: memory, CPU, open files and garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class NodeMetrics:
    """Counts notes in `registry`; its `observe` is an Observer.

    The series of `pairs` begin at zero, so that a rate sees the first increase too.
    """

    def __init__(self, registry: CollectorRegistry, pairs: Iterable[str] = ()) -> None:
        self._registry = registry
        self._pairs = _Bounded(PAIRS_MAX, re.compile(r"[A-Z0-9-]{1,25}"))
        self._reasons = _Bounded(REASONS_MAX, _REASON)
        self._rounds: dict[str, int] = {}
        self._counters = {
            kind: Counter(count.name, count.help, count.labels, registry=registry)
            for kind, count in _COUNTS.items()
        }
        self.add_pairs(pairs)
        self._make_gauges(registry)
        self._entries = Counter(
            "gossip_price_entries_published_total",
            "How many entries (reports with signatures) were in the messages that we sent?",
            registry=registry,
        )
        self._late_signatures = Counter(
            "gossip_price_late_signatures_added_total",
            "How many signatures were in those batches and not there before?",
            registry=registry,
        )
        self._stored_after = Histogram(
            "gossip_price_stored_after_last_signer_seconds",
            "How long after its last new signer was a row of ours in the database?",
            ("pair",),
            buckets=_STORE_BUCKETS_S,
            registry=registry,
        )
        self._settled_after = Histogram(
            "gossip_price_settled_after_last_signer_seconds",
            "How long after its last new signer was a report settled?",
            ("pair",),
            buckets=_STORE_BUCKETS_S,
            registry=registry,
        )
        build = Info("gossip_price_build", "Which version is this?", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})

    def _make_gauges(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, question: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, question, labels, registry=registry)

        self._store_up = gauge("gossip_price_store_up", "Does the database answer (1) or not (0)?")
        self._journal_up = gauge(
            "gossip_price_journal_writable", "Does the journal take records (1) or not (0)?"
        )
        self._journal_up.set(1)
        self._simulated = gauge(
            "gossip_price_simulated_feed", "Are prices simulated (1), nobody's market, or not (0)?"
        )
        self._observed_price = gauge(
            "gossip_price_observed_price", "What price did we see last ourselves?", ("pair",)
        )
        self._observed_round = gauge(
            "gossip_price_observed_round_timestamp_seconds",
            "Which round (its start) did we last see a price for ourselves?",
            ("pair",),
        )
        self._epoch = gauge("gossip_price_epoch", "Which epoch do we follow now?")
        self._epoch_newest = gauge(
            "gossip_price_epoch_newest", "Which is the last epoch that we know, announced or not?"
        )
        self._proven_price = gauge(
            "gossip_price_proven_price", "What is the newest proven price?", ("pair",)
        )
        self._proven_round = gauge(
            "gossip_price_proven_round_timestamp_seconds",
            "Which round (its start) is the newest proven price of?",
            ("pair",),
        )

    def observe(self, note: Note) -> None:
        """Count one note."""
        count = _COUNTS.get(note.kind)
        if count is not None:
            values = [self._get_label(label, note) for label in count.labels]
            counter = self._counters[note.kind]
            (counter.labels(*values) if values else counter).inc()
        match note.kind:
            case NoteKind.OBSERVED:
                pair = self._pairs.take(note.pair)
                self._observed_price.labels(pair).set(_to_float(note))
                self._observed_round.labels(pair).set(note.round)
            case NoteKind.PROVEN:
                pair = self._pairs.take(note.pair)
                # One that was proven late does not turn the newest price back.
                if note.round >= self._rounds.get(pair, 0):
                    self._rounds[pair] = note.round
                    self._proven_price.labels(pair).set(_to_float(note))
                    self._proven_round.labels(pair).set(note.round)
            case NoteKind.SETTLED:
                self._settled_after.labels(self._pairs.take(note.pair)).observe(note.ms / 1_000)
            case NoteKind.STORED:
                self._stored_after.labels(self._pairs.take(note.pair)).observe(note.ms / 1_000)
            case NoteKind.LATE_SIGNED:
                self._late_signatures.inc(note.count)
            case NoteKind.PUBLISHED:
                self._entries.inc(note.count)
            case NoteKind.EPOCH_ENTERED:
                self._epoch.set(note.count)
            case NoteKind.EPOCH_KNOWN:
                self._epoch_newest.set(note.count)
            case NoteKind.STORE_UP | NoteKind.STORE_DOWN:
                self._store_up.set(note.kind is NoteKind.STORE_UP)
            case NoteKind.JOURNAL_FAILED | NoteKind.JOURNAL_RECOVERED:
                self._journal_up.set(note.kind is NoteKind.JOURNAL_RECOVERED)

    def add_pairs(self, pairs: Iterable[str]) -> None:
        """Begin the series of these pairs at zero; those that began go on."""
        for pair in pairs:
            for kind, count in _COUNTS.items():
                if count.labels == ("pair",):
                    self._counters[kind].labels(self._pairs.take(pair))

    def set_simulated(self, simulated: bool) -> None:
        """Say whether the prices are nobody's market."""
        self._simulated.set(simulated)

    def add_sources(self, get_counters: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Show the answers of price sources, counted by (source, reason) elsewhere."""
        self._registry.register(_SourceCollector(get_counters))

    def add_transport(
        self,
        get_counters: Callable[[], Mapping[str, int]],
        get_peers: Callable[[], Collection[str]],
    ) -> None:
        """Show the p2p network's counters by name, and how many peers are connected."""
        self._registry.register(_TransportCollector(get_counters, get_peers))

    def _get_label(self, label: str, note: Note) -> str:
        if label == "pair":
            return self._pairs.take(note.pair)
        return self._reasons.take(note.reason)


class _Bounded:
    """Takes the first `limit` well-formed values of a label as they are, any other as "other"."""

    def __init__(self, limit: int, pattern: re.Pattern[str]) -> None:
        self._limit = limit
        self._pattern = pattern
        self._seen: set[str] = set()

    def take(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= self._limit or not self._pattern.fullmatch(value):
                return _OTHER
            self._seen.add(value)
        return value


class _SourceCollector(Collector):
    def __init__(self, get_counters: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._get_counters = get_counters

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "gossip_price_source_answers",
            "How did each price source answer, `ok` or with what trouble?",
            labels=("source", "reason"),
        )
        for (source, reason), count in self._get_counters().items():
            family.add_metric((source, reason), count)
        yield family


class _TransportCollector(Collector):
    def __init__(
        self,
        get_counters: Callable[[], Mapping[str, int]],
        get_peers: Callable[[], Collection[str]],
    ) -> None:
        self._get_counters = get_counters
        self._get_peers = get_peers

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "gossip_price_peers", "How many peers are connected?", len(self._get_peers())
        )
        family = CounterMetricFamily(
            "gossip_price_transport_events",
            "How often did each thing happen in the p2p network?",
            labels=("event",),
        )
        for event, count in self._get_counters().items():
            family.add_metric((event,), count)
        yield family


def _to_float(note: Note) -> float:
    """Return a price for a graph; nothing is decided or signed with it."""
    return float(Decimal(note.price).scaleb(-note.decimals))
