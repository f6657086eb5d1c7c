from __future__ import annotations

import pytest

from gossip_price.core.limits import (
    BATCH_ROWS_MAX,
    POISON_RETRY_MS,
    RECEIPT_TRUST_MS,
    ROLL_CALL_MS,
    WRITER_STEP_MS,
)
from gossip_price.core.types import Now, StoredRow
from gossip_price.core.writing import Writing
from networks import START, make_network

ME = b"m" * 20
STORE = b"S" * 32
ROWS = make_network(4).rows(20)


def at(mono_ms: int) -> Now:
    return Now(START * 1000 + mono_ms, mono_ms)


def make_writing(*others: bytes, up: bool = True) -> Writing:
    writing = Writing(ME, lambda store, mono_ms, among: among, lambda mono_ms: (ME, *others))
    if up:
        writing.process_up(STORE, at(0))
        writing.take_batch(at(ROLL_CALL_MS))
    return writing


def get_ids(rows: tuple[StoredRow, ...]) -> list[bytes]:
    return [row.id for row in rows]


def test_what_only_receipts_vouch_for_is_checked_together_within_the_hour() -> None:
    writing = make_writing()
    for minute, row in enumerate(ROWS):
        writing.add(row, at(minute * 60_000), vouched=STORE)
    assert writing.get_deadline_ms() == RECEIPT_TRUST_MS
    assert writing.take_batch(at(RECEIPT_TRUST_MS - 1)) == ()
    batch = writing.take_batch(at(RECEIPT_TRUST_MS))
    assert get_ids(batch) == sorted(row.id for row in ROWS)
    rows, news = writing.process_written(tuple(get_ids(batch)))
    assert len(rows) == len(ROWS)
    assert news == ()  # everybody has heard of them
    assert writing.get_deadline_ms() is None


def test_after_an_outage_nobody_writes_before_the_roll_call() -> None:
    writing = make_writing(up=False)
    for row in ROWS:
        writing.add(row, at(0))
    assert writing.get_deadline_ms() is None
    writing.process_up(STORE, at(1_000))
    assert writing.get_deadline_ms() == 1_000 + ROLL_CALL_MS
    assert writing.take_batch(at(1_000 + ROLL_CALL_MS - 1)) == ()
    assert len(writing.take_batch(at(1_000 + ROLL_CALL_MS))) == len(ROWS)


def test_who_was_removed_and_hears_nobody_writes_after_all_members() -> None:
    roster = tuple(bytes([index]) * 20 for index in range(4))
    delays = set()
    for number in range(16):
        removed = bytes([100 + number]) * 20
        writing = Writing(removed, lambda store, mono_ms, among: [], lambda mono_ms: roster)
        writing.process_up(STORE, at(0))
        writing.add(ROWS[0], at(0))
        writing.take_batch(at(ROLL_CALL_MS))
        due_ms = writing.get_deadline_ms()
        assert due_ms is not None
        delays.add(due_ms - ROLL_CALL_MS)
    assert min(delays) >= 4 * WRITER_STEP_MS
    assert max(delays) <= 8 * WRITER_STEP_MS
    assert len(delays) > 1  # nor all who were removed at once


def test_a_row_that_settles_during_the_roll_call_waits_for_it_too() -> None:
    writing = make_writing(up=False)
    writing.process_up(STORE, at(0))
    writing.add(ROWS[0], at(100))
    assert writing.take_batch(at(ROLL_CALL_MS - 1)) == ()
    assert get_ids(writing.take_batch(at(ROLL_CALL_MS))) == [ROWS[0].id]


def test_an_answer_of_before_an_outage_does_not_free_the_batch_of_after_it() -> None:
    writing = make_writing()
    for row in ROWS[:2]:
        writing.add(row, at(4_000))
    before = tuple(get_ids(writing.take_batch(at(9_000))))
    writing.process_down()
    writing.process_up(STORE, at(10_000))
    writing.add(ROWS[2], at(10_000))
    after = writing.take_batch(at(20_000))
    assert len(after) == 3
    rows, _ = writing.process_written(before)
    assert tuple(get_ids(tuple(rows))) == before
    writing.add(ROWS[3], at(20_000))
    assert writing.take_batch(at(99_000)) == ()
    assert writing.process_refused(before, 20_000) is None
    assert writing.take_batch(at(99_000)) == ()
    writing.process_written(tuple(get_ids(after)))
    assert get_ids(writing.take_batch(at(99_000))) == [ROWS[3].id]


def test_a_refused_batch_is_halved_until_one_row_is_left() -> None:
    writing = make_writing()
    for row in ROWS[:8]:
        writing.add(row, at(4_000))
    poison, written, refusals = ROWS[5].id, set(), 0
    while batch := writing.take_batch(at(9_000)):
        ids = tuple(get_ids(batch))
        if poison in ids:
            refusals += 1
            named = writing.process_refused(ids, 9_000)
            assert named == (poison if ids == (poison,) else None)
        else:
            writing.process_written(ids)
            written |= set(ids)
    assert written == {row.id for row in ROWS[:8]} - {poison}
    assert refusals == 4
    assert poison in writing


def test_a_batch_is_bounded_and_the_rest_follows() -> None:
    rows = [*ROWS]
    writing = make_writing()
    for index in range(BATCH_ROWS_MAX + 10):
        id_ = index.to_bytes(32, "big")
        row = rows[0]
        writing.add(StoredRow(id_, row.report, row.signatures, 0, (), None, row.writer), at(4_000))
    first = writing.take_batch(at(9_000))
    assert len(first) == BATCH_ROWS_MAX
    writing.process_written(tuple(get_ids(first)))
    assert len(writing.take_batch(at(9_000))) == 10


def test_more_than_one_batch_of_what_receipts_vouch_for_follows_at_once() -> None:
    rows = make_network(4).rows(BATCH_ROWS_MAX + 3)
    writing = make_writing()
    for row in rows:
        writing.add(row, at(5_000), vouched=STORE)
    written: set[bytes] = set()
    due_ms = 5_000 + RECEIPT_TRUST_MS
    while batch := writing.take_batch(at(due_ms)):
        writing.process_written(tuple(get_ids(batch)))
        written |= set(get_ids(batch))
    assert written == {row.id for row in rows}


@pytest.mark.parametrize("is_halved", [False, True])
def test_what_receipts_vouched_for_waits_again_if_its_check_met_an_outage(is_halved: bool) -> None:
    """Whether it was written nobody knows, and nobody vouches for it to the next connection."""
    writing = make_writing()
    for row in ROWS[:4]:
        writing.add(row, at(5_000), trusted=True)
    batch = writing.take_batch(at(5_000 + RECEIPT_TRUST_MS))
    assert len(batch) == 4
    if is_halved:
        writing.process_refused(tuple(get_ids(batch)), 5_000 + RECEIPT_TRUST_MS)
        assert len(writing.take_batch(at(5_000 + RECEIPT_TRUST_MS))) == 2
    back_ms = 6_000 + RECEIPT_TRUST_MS
    writing.process_down()
    writing.process_up(STORE, at(back_ms))
    assert get_ids(writing.take_batch(at(back_ms + ROLL_CALL_MS))) == get_ids(batch)


def test_a_receipt_of_another_store_before_settlement_delays_nothing() -> None:
    writing = make_writing()
    writing.add(ROWS[0], at(5_000), vouched=b"T" * 32)
    assert writing.is_waiting(ROWS[0].id)
    assert get_ids(writing.take_batch(at(6_000))) == [ROWS[0].id]


def test_receipts_heard_in_an_outage_are_believed_when_the_same_store_returns() -> None:
    writing = make_writing(up=False)
    for row in ROWS[:2]:
        writing.add(row, at(0))
    assert not writing.process_receipt(ROWS[0].id, STORE, 500)
    writing.process_up(STORE, at(1_000))
    assert get_ids(writing.take_batch(at(1_000 + ROLL_CALL_MS))) == [ROWS[1].id]
    assert not writing.is_waiting(ROWS[0].id)


def test_a_row_that_is_missing_is_waited_for_whoever_vouched_for_it() -> None:
    writing = make_writing()
    writing.add(ROWS[0], at(5_000), vouched=STORE)
    assert not writing.is_waiting(ROWS[0].id)
    writing.add_absent(ROWS[0], at(6_000))
    assert writing.is_waiting(ROWS[0].id)
    batch = tuple(get_ids(writing.take_batch(at(7_000))))
    assert writing.process_written(batch)[1] == (ROWS[0].id,)


def test_a_refused_row_is_left_alone_for_its_time_and_tried_again() -> None:
    writing = make_writing()
    writing.add(ROWS[0], at(5_000))
    (row,) = writing.take_batch(at(6_000))
    assert writing.process_refused((row.id,), 6_000) == row.id
    assert writing.get_deadline_ms() == 6_000 + POISON_RETRY_MS
    assert writing.take_batch(at(6_000 + POISON_RETRY_MS - 1)) == ()
    assert writing.take_batch(at(6_000 + POISON_RETRY_MS)) == (row,)
