"""Writing against what it must never do: lose a row, or have two batches under way."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gossip_price.core.limits import POISON_RETRY_MS, RECEIPT_TRUST_MS
from gossip_price.core.types import Now
from gossip_price.core.writing import Writing
from networks import START, make_network

ME, OTHER = b"m" * 20, b"o" * 20
STORES = (b"S" * 32, b"T" * 32)
ROWS = make_network(4).rows(12)


class WritingStory(RuleBasedStateMachine):
    """A database that comes, goes and refuses; receipts true and false; time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = Writing(ME, lambda store, mono_ms, among: among, lambda mono_ms: (ME, OTHER))
        self.mono_ms = 1_000
        self.added: set[bytes] = set()
        self.written: set[bytes] = set()
        self.in_flight: tuple[bytes, ...] = ()
        self.poison = {ROWS[4].id}

    def now(self) -> Now:
        return Now(START * 1000 + self.mono_ms, self.mono_ms)

    @rule(number=st.integers(0, 11), store=st.sampled_from((None, *STORES)))
    def settle(self, number: int, store: bytes | None) -> None:
        row = ROWS[number]
        if row.id not in self.added:
            self.added.add(row.id)
            self.writing.add(row, self.now(), vouched=store)

    @rule(number=st.integers(0, 11), store=st.sampled_from(STORES))
    def vouch(self, number: int, store: bytes) -> None:
        self.writing.process_receipt(ROWS[number].id, store, self.mono_ms)

    @rule(store=st.sampled_from(STORES))
    def come(self, store: bytes) -> None:
        self.in_flight = ()
        self.writing.process_up(store, self.now())

    @rule()
    def go(self) -> None:
        self.in_flight = ()
        self.writing.process_down()

    @rule(ms=st.sampled_from((1, 500, 3_000, 60_000, POISON_RETRY_MS, RECEIPT_TRUST_MS)))
    def pass_time(self, ms: int) -> None:
        self.mono_ms += ms

    @rule()
    def write(self) -> None:
        batch = self.writing.take_batch(self.now())
        ids = tuple(row.id for row in batch)
        assert not (ids and self.in_flight)
        assert list(ids) == sorted(set(ids))
        assert not set(ids) & self.written
        self.in_flight = self.in_flight or ids

    @precondition(lambda self: self.in_flight)
    @rule()
    def answer(self) -> None:
        ids, self.in_flight = self.in_flight, ()
        if self.poison & set(ids):
            named = self.writing.process_refused(ids, self.mono_ms)
            assert named in (None, *self.poison)
        else:
            self.writing.process_written(ids)
            self.written |= set(ids)

    @rule()
    def mend(self) -> None:
        self.poison = set()

    @invariant()
    def nothing_is_lost(self) -> None:
        waiting = {row.id for row in ROWS if row.id in self.writing}
        assert waiting | self.written == self.added
        assert len(self.writing) == len(self.added - self.written)

    @invariant()
    def after_a_look_no_deadline_lies_behind(self) -> None:
        if not self.in_flight and self.writing.store is not None:
            self.write()
            deadline_ms = self.writing.get_deadline_ms()
            assert deadline_ms is None or deadline_ms > self.mono_ms

    def teardown(self) -> None:
        self.mend()
        self.come(STORES[0])
        for _ in range(40):
            self.mono_ms += RECEIPT_TRUST_MS
            self.write()
            if self.in_flight:
                self.answer()
        assert self.written == self.added


WritingStory.TestCase.settings = settings(
    derandomize=True, deadline=None, max_examples=40, stateful_step_count=40
)
TestWriting = WritingStory.TestCase
