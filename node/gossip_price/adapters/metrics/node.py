"""What happened, as numbers: the machine's notes, counted as they come.

What can be read at the moment of a scrape is read then, by the collectors beside this file.
Knows nothing of logs or HTTP. Every label has few values: pairs and members are the network's own,
reasons are our own words, and what a stranger could choose (peer ids) is no label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry

from gossip_price.adapters.metrics.bias import BIAS_FAMILIES, ProposerBias
from gossip_price.adapters.metrics.bounded import Bounded
from gossip_price.adapters.metrics.counters import COUNTERS
from gossip_price.adapters.metrics.families import Family
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.document import MEMBERS_MAX, PAIRS_MAX, Document
from gossip_price.network.keys import format_address

#: Different reasons one label may take; the code has about forty.
REASONS_MAX: Final = 64
#: Members of the largest network, and as many that came and went while this process ran.
_MEMBERS_SEEN_MAX: Final = 2 * MEMBERS_MAX

#: Members observe within half a second of a round's start and gossip is quicker than that; each
#: rank that proposes nothing costs a fallback delay of 1 to 10 s.
_QUORUM_BUCKETS_S: Final = (0.25, 0.5, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)
#: Settling is 30 s by default and stored within 31: finer around there, coarse after an outage.
_STORE_BUCKETS_S: Final = (1, 5, 10, 20, 29, 30, 30.5, 31, 32, 35, 40, 60, 120, 600, 3_600)

_ENTRIES = Family(
    "counter",
    "gossip_price_entries_published_total",
    "How many entries (reports with signatures) were in the messages that we sent?",
)
_LATE_SIGNATURES = Family(
    "counter",
    "gossip_price_late_signatures_added_total",
    "How many signatures that came after settlement did we add to the database?",
)
_PROVEN_AFTER = Family(
    "histogram",
    "gossip_price_proven_after_round_start_seconds",
    "How long after its round began had a report its quorum, as we saw it?",
    ("pair",),
    _QUORUM_BUCKETS_S,
)
_SETTLED_AFTER = Family(
    "histogram",
    "gossip_price_settled_after_last_signer_seconds",
    "How long after its last new signer was a report settled?",
    ("pair",),
    _STORE_BUCKETS_S,
)
_STORED_AFTER = Family(
    "histogram",
    "gossip_price_stored_after_last_signer_seconds",
    "How long after its last new signer was a row of ours in the database?",
    ("pair",),
    _STORE_BUCKETS_S,
)
_STORE_UP = Family("gauge", "gossip_price_store_up", "Does the database answer us (1) or not (0)?")
_STORE_DOWN_SINCE = Family(
    "gauge",
    "gossip_price_store_down_since_timestamp_seconds",
    "Since when has the database not answered us, 0 while it does?",
)
_JOURNAL_WRITABLE = Family(
    "gauge",
    "gossip_price_journal_writable",
    "Does the journal take records (1) or not (0)?",
)
_SIMULATED = Family(
    "gauge",
    "gossip_price_simulated_feed",
    "Are prices simulated (1), nobody's market, or not (0)?",
)
_OBSERVED_PRICE = Family(
    "gauge",
    "gossip_price_observed_price",
    "What price did we see last ourselves?",
    ("pair",),
)
_OBSERVED_ROUND = Family(
    "gauge",
    "gossip_price_observed_round_timestamp_seconds",
    "Which round (its start) did we last see a price for ourselves?",
    ("pair",),
)
_OBSERVED_SOURCES = Family(
    "gauge",
    "gossip_price_observed_sources",
    "How many sources were our last observation's median of?",
    ("pair",),
)
_UNOBSERVED = Family(
    "gauge",
    "gossip_price_rounds_unobserved_in_a_row",
    "In how many rounds have we seen no price ourselves since the last in which we did?",
    ("pair",),
)
_PROVEN_PRICE = Family(
    "gauge", "gossip_price_proven_price", "What is the newest proven price?", ("pair",)
)
_PROVEN_ROUND = Family(
    "gauge",
    "gossip_price_proven_round_timestamp_seconds",
    "Which round (its start) is the newest proven price of?",
    ("pair",),
)
_SETTLED_SIGNERS = Family(
    "gauge",
    "gossip_price_settled_signers",
    "How many members have signed the newest settled price?",
    ("pair",),
)
NOTED_FAMILIES: Final = (
    *COUNTERS.values(),
    _ENTRIES,
    _LATE_SIGNATURES,
    _PROVEN_AFTER,
    _SETTLED_AFTER,
    _STORED_AFTER,
    _STORE_UP,
    _STORE_DOWN_SINCE,
    _JOURNAL_WRITABLE,
    _SIMULATED,
    _OBSERVED_PRICE,
    _OBSERVED_ROUND,
    _OBSERVED_SOURCES,
    _UNOBSERVED,
    _PROVEN_PRICE,
    _PROVEN_ROUND,
    _SETTLED_SIGNERS,
    *BIAS_FAMILIES,
)


class NodeMetrics:
    """Counts notes in `registry`; its `observe` is an Observer.

    `me` is our 20-byte address, `wall_s` the clock in Unix seconds. The series of `documents`, the
    epochs at the start, begin at zero, so that a rate sees the first increase too.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        documents: Iterable[Document] = (),
        *,
        me: bytes = b"",
        is_simulated: bool = False,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._wall_s = wall_s
        self._pairs = Bounded(PAIRS_MAX, r"[A-Z0-9-]{1,25}")
        self._reasons = Bounded(REASONS_MAX, r"[a-z0-9_]{1,40}")
        self._members = Bounded(_MEMBERS_SEEN_MAX, r"0x[0-9a-fA-F]{40}")
        self._counters = {kind: family.make_counter(registry) for kind, family in COUNTERS.items()}
        self._entries = _ENTRIES.make_counter(registry)
        self._late_signatures = _LATE_SIGNATURES.make_counter(registry)
        self._proven_after = _PROVEN_AFTER.make_histogram(registry)
        self._settled_after = _SETTLED_AFTER.make_histogram(registry)
        self._stored_after = _STORED_AFTER.make_histogram(registry)
        self._store_up = _STORE_UP.make_gauge(registry)
        self._store_down_since = _STORE_DOWN_SINCE.make_gauge(registry)
        self._store_down_since.set(wall_s())
        self._is_store_up = False
        self._journal_writable = _JOURNAL_WRITABLE.make_gauge(registry)
        self._journal_writable.set(1)
        _SIMULATED.make_gauge(registry).set(is_simulated)
        self._observed_price = _OBSERVED_PRICE.make_gauge(registry)
        self._observed_round = _OBSERVED_ROUND.make_gauge(registry)
        self._observed_sources = _OBSERVED_SOURCES.make_gauge(registry)
        self._unobserved = _UNOBSERVED.make_gauge(registry)
        self._proven_price = _PROVEN_PRICE.make_gauge(registry)
        self._proven_round = _PROVEN_ROUND.make_gauge(registry)
        self._settled_signers = _SETTLED_SIGNERS.make_gauge(registry)
        self._bias = ProposerBias(registry, me, self._members)
        #: By pair the newest round that was proven, that settled, that ended our last fetch.
        self._proven_rounds: dict[str, int] = {}
        self._settled_rounds: dict[str, int] = {}
        self._unobserved_rounds: dict[str, int] = {}
        for document in documents:
            self.add_epoch(document)

    def observe(self, note: Note) -> None:  # noqa: PLR0912  # a table of notes
        """Count one note."""
        family = COUNTERS.get(note.kind)
        if family is not None:
            values = [self._get_label(label, note) for label in family.labels]
            counter = self._counters[note.kind]
            (counter.labels(*values) if values else counter).inc()
        pair = self._pairs.take(note.pair) if note.pair else ""
        match note.kind:
            case NoteKind.OBSERVED:
                self._observed_price.labels(pair).set(_to_float(note))
                self._observed_round.labels(pair).set(note.round)
                self._observed_sources.labels(pair).set(note.count)
                self._unobserved.labels(pair).set(0)
                self._unobserved_rounds[pair] = note.round
                self._bias.process_observed(note)
            case NoteKind.NOT_OBSERVED:
                if self._unobserved_rounds.get(pair) != note.round:  # once, if asked twice
                    self._unobserved.labels(pair).inc()
                self._unobserved_rounds[pair] = note.round
            case NoteKind.PROVEN:
                if note.ms:
                    self._proven_after.labels(pair).observe(note.ms / 1_000)
                # One that was proven late does not turn the newest price back.
                if note.round >= self._proven_rounds.get(pair, 0):
                    self._proven_rounds[pair] = note.round
                    self._proven_price.labels(pair).set(_to_float(note))
                    self._proven_round.labels(pair).set(note.round)
            case NoteKind.SETTLED:
                self._settled_after.labels(pair).observe(note.ms / 1_000)
                if note.round >= self._settled_rounds.get(pair, 0):
                    self._settled_rounds[pair] = note.round
                    self._settled_signers.labels(pair).set(note.count)
                self._bias.process_settled(note)
            case NoteKind.STORED:
                self._stored_after.labels(pair).observe(note.ms / 1_000)
            case NoteKind.LATE_SIGNED:
                self._late_signatures.inc(note.count)
            case NoteKind.PUBLISHED:
                self._entries.inc(note.count)
            case NoteKind.STORE_UP | NoteKind.STORE_DOWN:
                self._set_store(note.kind is NoteKind.STORE_UP)
            case NoteKind.JOURNAL_FAILED | NoteKind.JOURNAL_RECOVERED:
                self._journal_writable.set(note.kind is NoteKind.JOURNAL_RECOVERED)

    def add_epoch(self, document: Document) -> None:
        """Begin the series of an epoch's pairs and members at zero; those that began go on."""
        members = [member.address for member in document.members]
        begun = {"pair": [terms.pair for terms in document.pairs], "member": members}
        bounded = {"pair": self._pairs, "member": self._members}
        for kind, family in COUNTERS.items():
            match family.labels:
                case (label,) if label in begun:
                    for value in begun[label]:
                        self._counters[kind].labels(bounded[label].take(value))
        for pair in begun["pair"]:
            self._unobserved.labels(self._pairs.take(pair))
        self._bias.add_members(members)

    def _set_store(self, is_up: bool) -> None:
        if is_up != self._is_store_up:
            self._store_down_since.set(0 if is_up else self._wall_s())
        self._is_store_up = is_up
        self._store_up.set(is_up)

    def _get_label(self, label: str, note: Note) -> str:
        match label:
            case "pair":
                return self._pairs.take(note.pair)
            case "member":
                return self._members.take(format_address(note.member) if note.member else "")
            case _:
                return self._reasons.take(note.reason)


def _to_float(note: Note) -> float:
    """Return a price for a graph; nothing is decided or signed with it."""
    return float(Decimal(note.price).scaleb(-note.decimals))
