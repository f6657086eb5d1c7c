"""What goes into the outbox leaves exactly once, in messages that every receiver takes."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from crafted import make_heartbeat, make_receipt
from gossip_price.core.limits import (
    ENTRIES_MAX,
    LINGER_FULL_RATE,
    LINGER_MAX_MS,
    LINGER_MIN_MS,
    MESSAGE_BYTES_MAX,
)
from gossip_price.core.outbox import Outbox
from gossip_price.core.types import Entry, Signature
from gossip_price.core.wire import decode, encode
from networks import make_network

STEADY = settings(derandomize=True, deadline=None, max_examples=60)
NETWORK = make_network(4)
ENTRY = NETWORK.entry(NETWORK.report())
RECEIPT = make_receipt(NETWORK, 0, [bytes([number]) * 32 for number in range(256)])
BEAT = make_heartbeat(NETWORK, 0)


def make_entry(id_: bytes, signers: int) -> Entry:
    report = msgspec.structs.replace(ENTRY.report, price=1 + int.from_bytes(id_, "big"))
    return Entry(report, tuple(Signature(member, b"s" * 65) for member in range(signers)))


@STEADY
@given(
    st.lists(st.integers(0, 40), max_size=60),
    st.integers(1, 256),
    st.integers(0, 40),
    st.sets(st.integers(0, 40)),
)
def test_everything_leaves_once_in_messages_of_the_allowed_size(
    numbers: list[int], signers: int, receipts: int, gone: set[int]
) -> None:
    outbox = Outbox()
    for number in numbers:
        outbox.add_entry(bytes([number]), 0)
    for _ in range(receipts):
        outbox.add_receipt(RECEIPT, 0)
    outbox.add_heartbeat(BEAT, 0)
    known = {bytes([number]): make_entry(bytes([number]), signers) for number in numbers}
    for number in gone:
        known.pop(bytes([number]), None)
    # A heartbeat goes with what waits already, and alone it does not wait.
    assert outbox.deadline_ms == (LINGER_MIN_MS if numbers or receipts else 0)
    messages = [encode(envelope) for envelope in outbox.drain(known.get)]
    assert all(len(message) <= MESSAGE_BYTES_MAX for message in messages)
    envelopes = [decode(message) for message in messages]
    sent = [entry.report.price - 1 for envelope in envelopes for entry in envelope.entries]
    assert sorted(sent) == sorted(set(numbers) - gone)
    assert sum(len(envelope.receipts) for envelope in envelopes) == receipts
    assert sum(len(envelope.heartbeats) for envelope in envelopes) == 1
    assert outbox.deadline_ms is None
    assert list(outbox.drain(known.get)) == []


def test_more_entries_than_a_message_may_hold_make_several() -> None:
    outbox = Outbox()
    ids = [number.to_bytes(3, "big") for number in range(2 * ENTRIES_MAX + 1)]
    for id_ in ids:
        outbox.add_entry(id_, 0)
    envelopes = [decode(encode(e)) for e in outbox.drain(lambda id_: make_entry(id_, 1))]
    assert sum(len(envelope.entries) for envelope in envelopes) == len(ids)
    assert all(len(envelope.entries) <= ENTRIES_MAX for envelope in envelopes)


@STEADY
@given(st.lists(st.integers(0, 400), max_size=200))
def test_the_wait_grows_with_the_load_and_is_bounded(gaps_ms: list[int]) -> None:
    outbox, now_ms = Outbox(), 0
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        before = outbox.compute_linger_ms(now_ms)
        outbox.count_message(now_ms)
        after = outbox.compute_linger_ms(now_ms)
        assert LINGER_MIN_MS <= before <= after <= LINGER_MAX_MS
    assert outbox.compute_linger_ms(now_ms + 3_000) == LINGER_MIN_MS


def test_the_wait_is_as_long_as_this_second_or_the_last_was_busy() -> None:
    outbox = Outbox()
    for _ in range(LINGER_FULL_RATE):
        outbox.count_message(5_000)
    waits = [outbox.compute_linger_ms(mono_ms) for mono_ms in (5_999, 6_000, 6_999, 7_000)]
    assert waits == [LINGER_MAX_MS, LINGER_MAX_MS, LINGER_MAX_MS, LINGER_MIN_MS]
