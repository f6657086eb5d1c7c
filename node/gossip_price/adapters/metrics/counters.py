"""The counter of each kind of note: the machine's own words, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gossip_price.adapters.metrics.families import Family
from gossip_price.core.events import NoteKind


def _count(name: str, question: str, labels: tuple[str, ...] = ()) -> Family:
    return Family("counter", name, question, labels)


#: The counter of each kind of note. Each help text is the question that the number answers.
COUNTERS: Final[Mapping[NoteKind, Family]] = {
    NoteKind.OBSERVED: _count(
        "gossip_price_observations_total", "How often did we see a price ourselves?", ("pair",)
    ),
    NoteKind.NOT_OBSERVED: _count(
        "gossip_price_observations_missing_total",
        "How often did our own fetch end without a price, and why?",
        ("pair", "reason"),
    ),
    NoteKind.PROPOSED: _count(
        "gossip_price_reports_proposed_total", "How many reports did we propose?", ("pair",)
    ),
    NoteKind.SIGNED: _count(
        "gossip_price_signatures_given_total",
        "How many reports of other members did we sign?",
        ("pair",),
    ),
    NoteKind.COSIGNED: _count(
        "gossip_price_signatures_merged_total",
        "How many new valid signatures, ours included, did we add to reports?",
        ("pair",),
    ),
    NoteKind.PROVEN: _count(
        "gossip_price_reports_proven_total", "How many reports reached the quorum?", ("pair",)
    ),
    NoteKind.SETTLED: _count(
        "gossip_price_reports_settled_total",
        "How many proven reports stopped gaining signers and were due to be stored?",
        ("pair",),
    ),
    NoteKind.EPOCH_KNOWN: _count(
        "gossip_price_epochs_learnt_total", "How many epochs did we learn of in this life?"
    ),
    NoteKind.EPOCH_ENTERED: _count(
        "gossip_price_epochs_entered_total", "How many epochs did we enter in this life?"
    ),
    NoteKind.EPOCH_REFUSED: _count(
        "gossip_price_epochs_refused_total",
        "How often did a network file not go on where our epochs end?",
    ),
    NoteKind.PROTOCOL_UNKNOWN: _count(
        "gossip_price_epochs_unknown_protocol_total",
        "How many epochs did we learn of whose protocol this version does not know?",
    ),
    NoteKind.STORED: _count(
        "gossip_price_rows_stored_total", "How many rows did this node insert?", ("pair",)
    ),
    NoteKind.RECEIPT: _count(
        "gossip_price_receipts_total",
        "How many reports did other members say that they had stored?",
        ("pair",),
    ),
    NoteKind.ROUND_LOST: _count(
        "gossip_price_rounds_lost_total",
        "How many rounds ended without a proven price, and why?",
        ("pair", "reason"),
    ),
    NoteKind.WITHHELD: _count(
        "gossip_price_signatures_withheld_total",
        "How many well-formed reports did we decide not to sign, and why?",
        ("pair", "reason"),
    ),
    NoteKind.EQUIVOCATION: _count(
        "gossip_price_equivocations_total",
        "How often did each member sign two reports where it may sign one?",
        ("member",),
    ),
    NoteKind.IGNORED: _count(
        "gossip_price_ignored_total",
        "How much of what others sent was of no use, without anyone's fault, and why?",
        ("reason",),
    ),
    NoteKind.REJECTED: _count(
        "gossip_price_rejected_total",
        "How much of what others sent was provably false, and why?",
        ("reason",),
    ),
    NoteKind.PUBLISHED: _count(
        "gossip_price_messages_published_total", "How many gossip messages did we send?"
    ),
    NoteKind.ASKED: _count(
        "gossip_price_questions_asked_total",
        "How often did we ask a peer for what its heartbeat named and gossip had not brought?",
    ),
    NoteKind.UNANSWERED: _count(
        "gossip_price_questions_unanswered_total",
        "How many of our questions got no answer, and why?",
        ("reason",),
    ),
    NoteKind.ANSWERED: _count(
        "gossip_price_questions_answered_total", "How many questions of peers did we answer?"
    ),
    NoteKind.HEALED: _count(
        "gossip_price_reports_healed_total",
        "How many reports gained signatures because we asked for them?",
        ("pair",),
    ),
    NoteKind.CAUGHT_UP: _count(
        "gossip_price_catchups_total",
        "How often did a peer's tree of a day give us what we lacked?",
    ),
    NoteKind.POISON: _count(
        "gossip_price_rows_refused_total", "How many rows did the database refuse for good?"
    ),
    NoteKind.AUDITED: _count(
        "gossip_price_audits_total",
        "How often was the database audited to the end, the last hours or all?",
        ("reason",),
    ),
    NoteKind.AUDIT_FAILED: _count(
        "gossip_price_audit_failures_total", "How often could the audit not read or mend a page?"
    ),
    NoteKind.RESTORED: _count(
        "gossip_price_rows_restored_total",
        "How many rows were missing in the database, and were inserted again by us?",
    ),
    NoteKind.QUARANTINED: _count(
        # What was wrong with each is in the log and in the table `quarantine`: the series must
        # begin at zero, or an alert would not see the first one.
        "gossip_price_rows_quarantined_total",
        "How many rows did we find false and move to quarantine?",
    ),
    NoteKind.LEFT_ALONE: _count(
        "gossip_price_rows_left_alone_total",
        "How many rows did audits meet whose epoch we do not know?",
    ),
    NoteKind.LATE_SIGNED: _count(
        "gossip_price_late_signature_batches_total",
        "How often did we add signatures that came after their row was settled?",
    ),
    NoteKind.CLOCK_STEPPED: _count(
        "gossip_price_clock_steps_total", "How often did this machine's wall clock jump?"
    ),
    NoteKind.JOURNAL_FAILED: _count(
        "gossip_price_journal_failures_total", "How often could the journal not be written?"
    ),
    NoteKind.STORE_DOWN: _count(
        "gossip_price_store_failures_total", "How often was the database found not to answer?"
    ),
}
