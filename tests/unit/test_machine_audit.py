"""The audit: the table is believed no further than its rows prove themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from crafted import get_writers, pack
from gossip_price.core import events as ev
from gossip_price.core.audit import Audit, compute_page_rows
from gossip_price.core.events import NoteKind
from gossip_price.core.judging import Standing, judge_unknown
from gossip_price.core.limits import (
    AUDIT_ANSWER_MS,
    AUDIT_FAILURES_MAX,
    AUDIT_PAUSE_MS,
    AUDIT_RECENT_EVERY_MS,
    AUDIT_RECENT_S,
    AUDIT_RETRY_MS,
    AUDIT_ROWS_MAX,
    AUDIT_SPREAD_MS,
    JOURNAL_AGE_S,
    ROLL_CALL_MS,
    WRITE_GATHER_MS,
)
from gossip_price.core.rows import FoundRow
from gossip_price.core.types import Entry, Now, Signature, StoredRow
from gossip_price.core.writing import Writing
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import JournalError
from gossip_price.simulator.database import make_claim
from gossip_price.simulator.scheme import REAL, installed
from networks import START, SampleNetwork, make_network
from world import STORE, World

HOUR_S = AUDIT_RECENT_EVERY_MS // 1000
NETWORK = make_network(4)
CHAIN = EpochChain([NETWORK.document])
ME = NETWORK.document.addresses[0]
ROWS = NETWORK.rows(8)


@pytest.fixture(autouse=True)
def remembering() -> Iterator[None]:
    """Recover each signature once: an hour has many, and all members hear the same."""
    with installed(REAL):
        yield


def get_reads(world: World, index: int) -> list[tuple[int, ev.ReadRows]]:
    return [(ms, one) for ms, one in world.nodes[index].audits if isinstance(one, ev.ReadRows)]


def collect(world: World, kind: NoteKind) -> list[ev.Note]:
    return [note for node in world.nodes for note in node.get_notes(kind)]


def run_day_part(*, seconds: int = 300, **options: Any) -> World:
    world = World(make_network(4), **options)
    world.run_until(START + seconds)
    return world


# --- what is missing, what is false -------------------------------------------------------------


def test_what_a_restored_backup_took_away_stands_there_again_soon() -> None:
    world = run_day_part(seconds=200)
    world.table.back_up()
    world.run_until(START + 400)
    before = dict(world.table.rows)
    world.server.restore_backup()
    assert len(world.table.rows) < len(before)
    world.run_until(START + 440)
    assert before.keys() <= world.table.rows.keys()


def test_one_member_writes_what_is_missing_and_the_others_find_it() -> None:
    world = run_day_part(seconds=400)
    world.server.stop()
    lost = list(world.table.rows)[:20]
    for id_ in lost:
        world.table.remove(id_)
    statements = world.table.statements
    world.server.start()
    world.run_until(START + 440)
    assert set(lost) <= world.table.rows.keys()
    # One for what was missing, and one for each round that settled meanwhile.
    assert world.table.statements - statements <= 4


def test_a_changed_row_is_corrected_within_the_hour_and_told() -> None:
    world = run_day_part()
    id_, row = next(iter(world.table.rows.items()))
    world.server.falsify(id_, replace(make_claim(row), price="1"))
    world.run_until(START + 300 + HOUR_S)
    assert world.table.rows[id_].report == row.report
    assert [(one, reason) for one, _, reason in world.table.quarantine] == [
        (id_, "column_mismatch")
    ]
    (told,) = collect(world, NoteKind.QUARANTINED)
    assert (told.id, told.reason) == (id_, "column_mismatch")


def test_a_place_that_is_squatted_before_it_is_written_is_freed() -> None:
    world = World(make_network(4))
    world.run_until(START + 20)
    (record, *_) = world.nodes[0].journal.proven.values()
    report = record.entry.report
    false = StoredRow(record.id, replace(report, price=5), (), 0, (), None, report.proposer)
    world.server.falsify(record.id, make_claim(false))
    world.run_until(START + 60)
    assert record.id not in world.table.rows
    world.run_until(START + 60 + HOUR_S)
    assert world.table.rows[record.id].report == report
    assert record.id in [one for one, _, _ in world.table.quarantine]


def test_a_row_that_is_not_settled_yet_is_no_row_that_is_missing() -> None:
    world = World(make_network(4))
    world.run_until(START + 17)
    world.server.stop()
    world.server.start()
    world.run_until(START + 29)
    assert get_reads(world, 0)
    assert world.table.statements == 0


def test_who_never_heard_of_a_price_leaves_its_true_row_alone() -> None:
    world = run_day_part(seconds=200, alive=[0, 1, 2])
    world.begin(3)
    world.run_until(START + 240)
    assert get_reads(world, 3)
    assert not world.table.quarantine


def test_an_unreadable_journal_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = run_day_part()

    def fail(after: object, limit: int) -> None:
        raise JournalError("disk I/O error")

    for node in world.nodes:
        monkeypatch.setattr(node.turns._journal, "read_proven_range", fail)
    id_, row = next(iter(world.table.rows.items()))
    world.server.falsify(id_, replace(make_claim(row), price="1"))
    world.run_until(START + 300 + HOUR_S)
    assert not world.table.quarantine
    assert collect(world, NoteKind.AUDIT_FAILED)


# --- late signatures ----------------------------------------------------------------------------


def test_a_late_signature_is_added_by_one_member_with_one_statement() -> None:
    network = make_network(4)
    document = network.document
    world = World(network, alive=[0, 1, 2])
    world.run_until(START + 40)
    (id_,) = [one for one, row in world.table.rows.items() if row.report.round == START]
    row = world.table.rows[id_]
    late = next(i for i in range(4) if document.addresses[i] not in dict(row.signatures))
    signature = world.nodes[late].signer.sign(id_)
    # All of them, or it would be an old report that nobody has proven.
    entry = network.entry(row.report, (0, 1, 2, 3))
    world.send(late, pack(entry))
    world.run_until(START + 45)
    assert world.table.late == {id_: {document.addresses[late]: signature}}
    added = [
        node.index
        for node in world.nodes
        for _, one in node.audits
        if isinstance(one, ev.AddSignatures)
    ]
    assert added == get_writers(network, START, [0, 1, 2])[:1]
    # After the gathering time, and no heartbeat had to come first.
    (added_ms,) = (
        ms for n in world.nodes for ms, one in n.audits if isinstance(one, ev.AddSignatures)
    )
    assert added_ms <= (START + 41) * 1000
    assert world.table.rows[id_] == row


# --- when, and how much -------------------------------------------------------------------------


def test_members_read_once_an_hour_and_at_different_times() -> None:
    world = run_day_part(seconds=HOUR_S + 60)
    hour = range((START + 60) * 1000, (START + 60 + HOUR_S) * 1000)
    times = [[ms for ms, _ in get_reads(world, i) if ms in hour] for i in range(4)]
    assert [len(mine) for mine in times] == [1, 1, 1, 1]
    assert len({mine[0] // 1_000 for mine in times}) == 4


def make_audit() -> tuple[Audit, Writing]:
    writing = Writing(ME, lambda store, mono_ms, among: among, lambda mono_ms: (ME,))
    audit = Audit(ME, writing, lambda id_: False)
    connect(audit, writing, 0)
    return audit, writing


def connect(audit: Audit, writing: Writing, mono_ms: int) -> None:
    """The database answers, and who writes what is known after the roll call."""
    writing.process_up(STORE, at(mono_ms))
    writing.take_batch(at(mono_ms + ROLL_CALL_MS))
    audit.process_up(STORE, at(mono_ms))


def at(mono_ms: int) -> Now:
    return Now(START * 1000 + mono_ms, mono_ms)


DUE_MS = 2 * ROLL_CALL_MS + AUDIT_SPREAD_MS


def begin_page(audit: Audit, mono_ms: int, rows: Sequence[StoredRow] = ()) -> ev.ReadRows:
    (recall,) = audit.advance(at(mono_ms), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    records = tuple(make_record(row) for row in rows)
    (read,) = audit.process(ev.RangeRecalled(recall.token, records), CHAIN, at(mono_ms))
    assert isinstance(read, ev.ReadRows)
    return read


def look_for_hidden(audit: Audit, read: ev.ReadRows, mono_ms: int) -> ev.ReadRows:
    """Answer that the page has no rows; return the question for those that should be there."""
    assert audit.process(ev.RowsRead(read.token, ()), CHAIN, at(mono_ms)) == []
    assert audit.get_deadline_ms(is_free=True) == 0
    (again,) = audit.advance(at(mono_ms), is_free=True)
    assert isinstance(again, ev.ReadRows)
    return again


def make_record(row: StoredRow) -> ev.ProvenRecord:
    index = NETWORK.document.index_by_address
    signatures = tuple(Signature(index[address], one) for address, one in row.signatures)
    return ev.ProvenRecord(row.id, Entry(row.report, signatures), row.last_signed_ms)


def test_after_a_reconnect_the_roll_call_comes_first_and_then_the_last_hours() -> None:
    audit, _ = make_audit()
    assert audit.advance(at(2 * ROLL_CALL_MS - 1), is_free=True) == []
    assert audit.advance(at(DUE_MS), is_free=False) == []
    (recall,) = audit.advance(at(DUE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    assert recall.after[0] == (START + DUE_MS // 1000) - AUDIT_RECENT_S - 1


def test_after_a_hole_in_the_last_hours_the_whole_week_is_looked_at() -> None:
    audit, writing = make_audit()
    read = begin_page(audit, DUE_MS, ROWS)
    again = look_for_hidden(audit, read, DUE_MS)
    assert set(again.ids) == {row.id for row in ROWS}
    (told,) = audit.process(ev.RowsRead(again.token, ()), CHAIN, at(DUE_MS))
    assert isinstance(told, ev.Note)
    assert (told.kind, told.detail) == (NoteKind.AUDITED, "8 missing, 0 false")
    assert len(writing) == len(ROWS)
    (recall,) = audit.advance(at(DUE_MS + AUDIT_PAUSE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    assert recall.after[0] == (START * 1000 + DUE_MS + AUDIT_PAUSE_MS) // 1000 - JOURNAL_AGE_S - 1


def test_another_database_is_audited_whole() -> None:
    audit, _ = make_audit()
    audit.process_up(b"T" * 32, at(0))
    (recall,) = audit.advance(at(DUE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    assert recall.after[0] == (START + DUE_MS // 1000) - JOURNAL_AGE_S - 1


def test_one_page_is_under_way_at_a_time_and_is_given_up_in_time() -> None:
    audit, _ = make_audit()
    read = begin_page(audit, DUE_MS)
    assert audit.advance(at(DUE_MS + 10), is_free=True) == []
    deadline_ms = audit.get_deadline_ms(is_free=True)
    assert deadline_ms is not None
    (told,) = audit.advance(at(deadline_ms), is_free=True)
    assert isinstance(told, ev.Note)
    assert told.kind is NoteKind.AUDIT_FAILED
    # The answer that comes after all is nobody's.
    assert audit.process(ev.RowsRead(read.token, ()), CHAIN, at(deadline_ms)) == []


def test_a_page_that_fails_is_tried_again_and_after_three_times_not_before_the_next_hour() -> None:
    audit, _ = make_audit()
    mono_ms = DUE_MS
    for _ in range(AUDIT_FAILURES_MAX):
        read = begin_page(audit, mono_ms)
        audit.process(ev.AuditFailed(read.token, "timeout"), CHAIN, at(mono_ms))
        assert audit.advance(at(mono_ms + AUDIT_RETRY_MS - 1), is_free=True) == []
        mono_ms += AUDIT_RETRY_MS
    deadline_ms = audit.get_deadline_ms(is_free=True)
    assert deadline_ms is not None
    assert audit.advance(at(deadline_ms - 1), is_free=True) == []
    assert DUE_MS < deadline_ms <= DUE_MS + AUDIT_RECENT_EVERY_MS


def test_failures_are_counted_a_page_and_not_a_week() -> None:
    audit, _ = make_audit()
    mono_ms = DUE_MS
    pages = AUDIT_FAILURES_MAX + 1
    rows = NETWORK.rows(AUDIT_ROWS_MAX * pages)
    for page in range(pages):
        read = begin_page(audit, mono_ms)
        audit.process(ev.AuditFailed(read.token, "timeout"), CHAIN, at(mono_ms))
        mono_ms += AUDIT_RETRY_MS
        read = begin_page(audit, mono_ms)
        assert read.range is not None
        found = tuple(
            FoundRow(row.id, make_claim(row), None, "1")
            for row in rows[page * AUDIT_ROWS_MAX : (page + 1) * AUDIT_ROWS_MAX]
        )
        assert audit.process(ev.RowsRead(read.token, found), CHAIN, at(mono_ms)) == []
        mono_ms += AUDIT_PAUSE_MS
    assert begin_page(audit, mono_ms).range is not None


def test_what_did_not_show_is_looked_for_when_no_write_is_under_way() -> None:
    """A batch may have left while the page was read."""
    audit, _ = make_audit()
    read = begin_page(audit, DUE_MS, ROWS)
    assert audit.process(ev.RowsRead(read.token, ()), CHAIN, at(DUE_MS)) == []
    assert audit.advance(at(DUE_MS + AUDIT_ANSWER_MS), is_free=False) == []
    assert audit.get_deadline_ms(is_free=False) is None
    (again,) = audit.advance(at(DUE_MS + AUDIT_ANSWER_MS), is_free=True)
    assert isinstance(again, ev.ReadRows)
    assert set(again.ids) == {row.id for row in ROWS}


def test_after_what_did_not_show_was_found_the_next_page_follows() -> None:
    audit, _ = make_audit()
    rows = sorted(
        NETWORK.rows(compute_page_rows(CHAIN)), key=lambda row: (row.report.round, row.id)
    )
    again = look_for_hidden(audit, begin_page(audit, DUE_MS, rows), DUE_MS)
    found = tuple(FoundRow(row.id, make_claim(row), None, "1") for row in rows)
    assert audit.process(ev.RowsRead(again.token, found), CHAIN, at(DUE_MS)) == []
    (recall,) = audit.advance(at(DUE_MS + AUDIT_PAUSE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    assert recall.after == (rows[-1].report.round, rows[-1].id)


def test_what_did_not_show_in_a_database_that_went_away_is_not_looked_for_in_the_next() -> None:
    audit, writing = make_audit()
    read = begin_page(audit, DUE_MS, ROWS)
    assert audit.process(ev.RowsRead(read.token, ()), CHAIN, at(DUE_MS)) == []
    audit.process_down()
    connect(audit, writing, DUE_MS)
    deadline_ms = audit.get_deadline_ms(is_free=True)
    assert deadline_ms is not None
    assert deadline_ms > DUE_MS
    assert begin_page(audit, deadline_ms).range is not None


def test_a_page_is_not_read_when_a_batch_has_left_since_the_journal_was_asked() -> None:
    audit, writing = make_audit()
    (recall,) = audit.advance(at(DUE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    writing.add(ROWS[0], at(DUE_MS))
    assert writing.take_batch(at(DUE_MS + WRITE_GATHER_MS))
    assert audit.process(ev.RangeRecalled(recall.token, ()), CHAIN, at(DUE_MS)) == []
    writing.process_written((ROWS[0].id,))
    assert begin_page(audit, DUE_MS).range is not None


def test_holes_that_come_again_make_nobody_read_the_week_more_than_once_an_hour() -> None:
    audit, writing = make_audit()
    wholes = 0
    for begun_ms in range(0, AUDIT_RECENT_EVERY_MS - DUE_MS, AUDIT_RECENT_EVERY_MS // 12):
        # After each reconnect the same row is gone again.
        connect(audit, writing, begun_ms)
        mono_ms = begun_ms + DUE_MS
        read = begin_page(audit, mono_ms, ROWS[:1])
        again = look_for_hidden(audit, read, mono_ms)
        audit.process(ev.RowsRead(again.token, ()), CHAIN, at(mono_ms))
        writing.process_written((ROWS[0].id,))
        wholes += bool(audit.advance(at(mono_ms + AUDIT_PAUSE_MS), is_free=True))
    assert wholes == 1


def test_nothing_is_put_in_a_false_rows_place_before_it_has_settled() -> None:
    writing = Writing(ME, lambda store, mono_ms, among: among, lambda mono_ms: (ME,))
    audit = Audit(ME, writing, lambda id_: id_ == ROWS[0].id)
    connect(audit, writing, 0)
    read = begin_page(audit, DUE_MS, ROWS[:2])
    found = tuple(
        FoundRow(row.id, replace(make_claim(row), price="1"), None, "1") for row in ROWS[:2]
    )
    audit.process(ev.RowsRead(read.token, found), CHAIN, at(DUE_MS))
    (correct,) = audit.advance(at(DUE_MS), is_free=True)
    assert isinstance(correct, ev.Correct)
    assert [one.id for one in correct.corrections] == [ROWS[1].id]


def test_what_its_proposer_has_not_signed_is_no_truth_however_many_others_have() -> None:
    report = NETWORK.report(0, proposer=0)
    found = FoundRow(
        NETWORK.compute_id(report), make_claim(NETWORK.row(report, (1, 2, 3))), None, "1"
    )
    judged = judge_unknown(found, CHAIN, frozenset({1}), ME, Now(0, 0))
    assert (judged.standing, judged.truth) == (Standing.FALSE, None)


def test_the_epoch_of_a_row_is_what_was_signed_and_not_the_column_beside_it() -> None:
    for column in (None, "0x" + "00" * 32, "none"):
        claim = replace(make_claim(ROWS[0]), epoch=column)
        found = FoundRow(ROWS[0].id, claim, None, "1")
        judged = judge_unknown(found, CHAIN, frozenset({1}), ME, Now(0, 0))
        assert (judged.standing, judged.reason) == (Standing.FALSE, "column_mismatch")
        assert judged.truth is not None
        assert judged.truth.signatures == ROWS[0].signatures


def test_a_page_never_has_more_rows_or_signatures_than_are_checked_in_a_tenth_of_a_second() -> None:
    assert compute_page_rows(CHAIN) == AUDIT_ROWS_MAX
    assert compute_page_rows(EpochChain([make_network(256).document])) == 8


def test_a_full_page_is_followed_by_the_next_behind_its_last_row() -> None:
    audit, _ = make_audit()
    read = begin_page(audit, DUE_MS)
    found = tuple(
        FoundRow(row.id, make_claim(row), None, "1") for row in NETWORK.rows(AUDIT_ROWS_MAX)
    )
    assert audit.process(ev.RowsRead(read.token, found), CHAIN, at(DUE_MS)) == []
    assert audit.get_deadline_ms(is_free=True) == DUE_MS + AUDIT_PAUSE_MS
    (recall,) = audit.advance(at(DUE_MS + AUDIT_PAUSE_MS), is_free=True)
    assert isinstance(recall, ev.RecallRange)
    assert recall.after == (found[-1].claim.round, found[-1].id)


def test_one_refused_correction_keeps_no_other_from_being_made() -> None:
    audit, _ = make_audit()
    read = begin_page(audit, DUE_MS)
    found = tuple(
        FoundRow(row.id, replace(make_claim(row), price="1"), None, "1") for row in ROWS[:4]
    )
    (recall,) = audit.process(ev.RowsRead(read.token, found), CHAIN, at(DUE_MS))
    assert isinstance(recall, ev.RecallRange)
    assert set(recall.ids) == {row.id for row in ROWS[:4]}
    audit.process(ev.RangeRecalled(recall.token, ()), CHAIN, at(DUE_MS))
    poison, made = ROWS[2].id, set()
    while effects := audit.advance(at(DUE_MS), is_free=True):
        (effect,) = effects
        if not isinstance(effect, ev.Correct):
            break
        ids = tuple(one.id for one in effect.corrections)
        answer: ev.AuditEvent = ev.Corrected(effect.token, ids, ids)
        if poison in ids:
            answer = ev.AuditFailed(effect.token, "refused", is_refusal=True)
        else:
            made |= set(ids)
        audit.process(answer, CHAIN, at(DUE_MS))
    assert made == {row.id for row in ROWS[:4]} - {poison}


def test_a_row_of_an_epoch_whose_rules_are_unknown_is_left_alone_whatever_it_looks_like() -> None:
    document = replace(NETWORK.document, protocol=2)
    network = SampleNetwork(document, NETWORK.signing_secrets, NETWORK.identity_secrets)
    row = network.row(network.report(0))
    for claim in (make_claim(row), replace(make_claim(row), price="1")):
        found = FoundRow(row.id, claim, None, "1")
        given = (found, EpochChain([document]))
        left = judge_unknown(*given, frozenset({1}), bytes(20), Now(0, 0))
        assert (left.standing, left.reason) == (Standing.UNKNOWN_EPOCH, "protocol_unknown")
        assert judge_unknown(*given, frozenset({1, 2}), bytes(20), Now(0, 0)).standing is (
            Standing.TRUE if claim.price != "1" else Standing.FALSE
        )


def test_what_waits_for_the_writers_is_not_missing() -> None:
    world = World(make_network(4))
    world.run_until(START + 20)
    (poison, *_) = world.nodes[0].journal.proven
    world.table.poison.add(poison)
    world.run_until(START + 20 + HOUR_S)
    assert poison not in world.table.rows
    audited = collect(world, NoteKind.AUDITED)
    assert audited
    # Who it has not come to, by its rank or a restart, cannot know why it is not there.
    tried = {node.index for node in world.nodes if node.get_notes(NoteKind.POISON)}
    assert tried
    for index in tried:
        told = {note.detail for note in world.nodes[index].get_notes(NoteKind.AUDITED)}
        assert told == {"0 missing, 0 false"}
