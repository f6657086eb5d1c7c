"""The engine's order, its bounds and its end, with fakes behind every port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from operator import contains
from typing import cast

import pytest

from gossip_price.core import events as ev
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.machine import Machine
from gossip_price.core.rows import Correction, FoundRow, LateSignature, RowRange
from gossip_price.core.types import Entry, Now, Observation, StoredRow
from gossip_price.engine import INBOX_MAX, PUBLISH_MAX, QUESTIONS_MAX, Engine, Turns, watch_store
from gossip_price.network.document import Document, PairTerms
from gossip_price.ports import (
    Connection,
    Deliver,
    JournalError,
    NoObservationError,
    RequestError,
    Respond,
    StoreRefusedError,
    StoreUnavailableError,
)
from networks import TERMS, make_network
from world import FakeJournal, KeySigner

ROWS = tuple(make_network(4).rows(2))
IDS = tuple(row.id for row in ROWS)
SECRET = make_network(4).signing_secrets[0]
NOTE = Note(NoteKind.PROVEN)
VOTE = ev.Vote("ETH-USD|0", b"i" * 32, ROWS[0].report)
Answer = Callable[[ev.Event], list[ev.Effect]]


class ScriptedMachine:
    """Gives what the script says for an event, and keeps what it was given."""

    def __init__(self, answer: Answer) -> None:
        self.heard: list[ev.Event] = []
        self._answer = answer
        self.drained = False

    def step(self, event: ev.Event, now: Now) -> list[ev.Effect]:
        self.heard.append(event)
        return self._answer(event)

    def get_deadline_ms(self, now: Now) -> int:
        return now.mono_ms + 3_600_000

    def is_drained(self) -> bool:
        return self.drained


class LoggingJournal(FakeJournal):
    def __init__(self, log: list[str]) -> None:
        super().__init__(0)
        self._log = log

    def write(self, records: Sequence[ev.Record]) -> None:
        super().write(records)
        self._log.append(f"journal {len(records)}")


class LoggingSigner(KeySigner):
    def __init__(self, log: list[str]) -> None:
        super().__init__(SECRET)
        self._log = log

    def sign(self, digest: bytes) -> bytes:
        self._log.append("sign")
        return super().sign(digest)


def make_turns(answer: Answer) -> tuple[Turns, ScriptedMachine, LoggingJournal, list[str]]:
    log: list[str] = []
    machine, journal = ScriptedMachine(answer), LoggingJournal(log)
    return Turns(cast(Machine, machine), journal, LoggingSigner(log)), machine, journal, log


def answer_vote(event: ev.Event) -> list[ev.Effect]:
    match event:
        case ev.Tick():
            return [ev.Publish(b"of others"), ev.Sign(VOTE.id), ev.Remember(VOTE)]
        case ev.Signed():
            return [ev.Publish(b"signed"), ev.Remember(ev.RoundRecord(1))]
        case ev.JournalFailed():
            return [NOTE]
        case _:
            return []


def test_what_is_signed_was_written_before_and_what_leaves_comes_last() -> None:
    turns, machine, journal, log = make_turns(answer_vote)
    outward = turns.take([ev.Tick()], Now(0, 0))
    assert log == ["journal 1", "sign", "journal 1"]
    assert journal.votes == {VOTE.key: VOTE}
    assert outward == [ev.Publish(b"of others"), ev.Publish(b"signed")]
    assert isinstance(machine.heard[-1], ev.Signed)


def test_the_records_of_one_turn_share_one_transaction() -> None:
    turns, _, _, log = make_turns(
        lambda event: [ev.Remember(ev.RoundRecord(1))] if event == ev.Tick() else []
    )
    turns.take([ev.Tick()] * 9, Now(0, 0))
    assert log == ["journal 9"]


def test_a_turn_whose_records_were_refused_signs_nothing() -> None:
    turns, machine, journal, log = make_turns(answer_vote)
    journal.full = True
    outward = turns.take([ev.Tick()], Now(0, 0))
    assert log == []
    assert ev.Publish(b"signed") not in outward
    assert outward[-1] == NOTE
    assert machine.heard == [ev.Tick(), ev.JournalFailed("database or disk is full")]


@pytest.mark.parametrize("full", [False, True], ids=["a working disk", "a full disk"])
def test_what_is_read_back_is_what_was_written_before(full: bool) -> None:
    proven = ev.ProvenRecord(b"p" * 32, cast(Entry, None), 0)

    def answer(event: ev.Event) -> list[ev.Effect]:
        if event == ev.Tick():
            return [ev.Recall(7, (proven.id, b"q" * 32)), ev.Remember(proven)]
        return [NOTE] if isinstance(event, ev.Recalled) else []

    turns, machine, journal, _ = make_turns(answer)
    journal.full = full
    assert turns.take([ev.Tick()], Now(0, 0)) == [NOTE]
    assert machine.heard[-1] == ev.Recalled(7, () if full else (proven,))


@pytest.mark.parametrize("full", [False, True], ids=["a working disk", "a full disk"])
def test_a_range_is_read_back_and_a_journal_that_cannot_be_read_is_not_empty(full: bool) -> None:
    record = ev.ProvenRecord(b"p" * 32, cast(Entry, None), 0)

    def read(after: object, limit: int) -> tuple[ev.ProvenRecord, ...]:
        if full:
            raise JournalError("database or disk is full")
        return (record,)

    turns, machine, journal, _ = make_turns(on(ev.Tick(), ev.RecallRange(7, (0, bytes(32)), 4)))
    journal.read_proven_range = read  # type: ignore[method-assign]  # a disk that can fail
    turns.take([ev.Tick()], Now(0, 0))
    assert machine.heard[-1] == ev.RangeRecalled(7, None if full else (record,))


AUDITS: list[tuple[ev.AuditEffect, ev.AuditEvent]] = [
    (ev.ReadRows(7, None, (b"i" * 32,), 3_000), ev.RowsRead(7, ())),
    (ev.Correct(7, ()), ev.Corrected(7, (b"moved",), ())),
    (ev.AddSignatures(7, ()), ev.SignaturesAdded(7, 0)),
]


@pytest.mark.parametrize(("effect", "event"), AUDITS, ids=lambda one: type(one).__name__)
async def test_the_audit_s_statements_are_answered_or_fail_and_say_nothing_of_the_store(
    effect: ev.AuditEffect, event: ev.AuditEvent
) -> None:
    troubles = {
        None: event,
        StoreUnavailableError("slow"): ev.AuditFailed(7, "slow"),
        StoreRefusedError("poison"): ev.AuditFailed(7, "poison", is_refusal=True),
    }
    for trouble, expected in troubles.items():
        desk = Desk(on(GO, effect))
        desk.store.trouble = trouble
        desk.engine.deliver("somebody", b"go")
        heard = desk.machine.heard
        await desk.until(partial(contains, heard, expected))
        assert not any(isinstance(one, ev.StoreDown) for one in heard)
        await desk.end()


def test_the_first_write_after_a_failure_tells_the_machine_that_it_recovered() -> None:
    turns, machine, journal, _ = make_turns(answer_vote)
    journal.full = True
    turns.take([ev.Tick()], Now(0, 0))
    journal.full = False
    turns.take([ev.Tick()], Now(0, 0))
    turns.take([ev.Tick()], Now(0, 0))
    assert machine.heard.count(ev.JournalRecovered()) == 1


def test_a_second_vote_is_refused_by_the_journal_itself() -> None:
    second = ev.Vote(VOTE.key, b"j" * 32, ROWS[1].report)
    turns, machine, journal, log = make_turns(
        lambda event: (
            [ev.Remember(second), ev.Sign(second.id)] if isinstance(event, ev.Tick) else []
        )
    )
    journal.votes[VOTE.key] = VOTE
    turns.take([ev.Tick()], Now(0, 0))
    assert log == []
    assert isinstance(machine.heard[-1], ev.JournalFailed)


class FakeClock:
    """Time that does not pass."""

    def now(self) -> Now:
        return Now(1_800_000_000_000, 1_000)


class FakeTransport:
    """Keeps what was published; `gate` holds publishing up, `trouble` is raised."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.peers: frozenset[str] = frozenset()
        self.penalized: list[tuple[str, str]] = []
        self.asked: list[tuple[str, bytes, float]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble: Exception | None = None

    async def start(self, deliver: Deliver, respond: Respond | None = None) -> None:
        raise AssertionError("the composition root starts it")

    def get_addresses(self) -> list[str]:
        return []

    def get_peers(self) -> frozenset[str]:
        return self.peers

    def get_connections(self) -> tuple[Connection, ...]:
        raise AssertionError("not the engine's business")

    async def publish(self, data: bytes) -> None:
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(data)

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        self.asked.append((peer, data, deadline_s))
        if self.trouble is not None:
            raise self.trouble
        return b"answer"

    def admit(self, peers: frozenset[str]) -> None:
        raise AssertionError("not the engine's business")

    def penalize(self, peer: str, reason: str) -> None:
        self.penalized.append((peer, reason))

    async def aclose(self) -> None:
        raise AssertionError("the composition root closes it")


class FakeStore:
    """Answers as told; `gate` holds every answer up."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble: Exception | None = None
        self.was_cancelled = False

    async def start(self, up: Callable[[bytes], None], down: Callable[[str], None]) -> None:
        raise AssertionError("the composition root starts it")

    async def read_rows(
        self, wanted: RowRange | Sequence[bytes], deadline_s: float
    ) -> tuple[FoundRow, ...]:
        self._fail_if_told()
        return ()

    async def correct(
        self, corrections: Sequence[Correction]
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        self._fail_if_told()
        return (b"moved",), ()

    async def add_signatures(self, late: Sequence[LateSignature]) -> int:
        self._fail_if_told()
        return len(late)

    def _fail_if_told(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def insert(self, rows: Sequence[StoredRow]) -> tuple[bytes, ...]:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.trouble is not None:
            raise self.trouble
        return (rows[0].id,)

    def set_epochs(self, documents: Sequence[Document]) -> None:
        raise AssertionError("the composition root's business")

    async def aclose(self) -> None:
        raise AssertionError("the composition root closes it")


class FakeSource:
    """One observation for everything, or trouble."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.deadlines_s: list[float] = []

    async def observe(self, terms: PairTerms, deadline_s: float) -> Observation:
        self.deadlines_s.append(deadline_s)
        if self.trouble is not None:
            raise self.trouble
        return Observation(terms.pair, 7, 0, 0, ("fake",))


class Desk:
    """An engine with fakes all around."""

    def __init__(self, answer: Answer) -> None:
        turns, self.machine, self.journal, _ = make_turns(answer)
        self.transport, self.store, self.source = FakeTransport(), FakeStore(), FakeSource()
        self.notes: list[Note] = []
        self.engine = Engine(
            turns,
            transport=self.transport,
            source=self.source,
            store=self.store,
            clock=FakeClock(),
            observers=[self.notes.append],
        )
        self.running = asyncio.create_task(self.engine.run())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the loop turn until something holds; fail if it never does."""
        for _ in range(10_000):
            if holds():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    async def end(self) -> None:
        self.machine.drained = True
        await self.engine.close(5)
        await self.running


def on(trigger: ev.Event, *effects: ev.Effect) -> Answer:
    return lambda event: list(effects) if event == trigger else []


GO = ev.Received("somebody", b"go")


async def test_messages_leave_in_their_order() -> None:
    messages = [bytes([number]) for number in range(100)]
    desk = Desk(on(GO, *(ev.Publish(data) for data in messages)))
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: len(desk.transport.sent) == 100)
    assert desk.transport.sent == messages
    await desk.end()


async def test_a_full_inbox_drops_gossip_and_nothing_else() -> None:
    desk = Desk(lambda event: [])
    for _ in range(INBOX_MAX + 5):
        desk.engine.deliver("somebody", b"x")
    desk.engine.offer(ev.StoreDown("gone"))
    assert desk.engine.dropped == 5
    await desk.until(lambda: ev.StoreDown("gone") in desk.machine.heard)
    assert sum(isinstance(event, ev.Received) for event in desk.machine.heard) == INBOX_MAX
    await desk.end()


async def test_a_full_inbox_does_not_keep_the_loop_from_sending() -> None:
    desk = Desk(on(GO, ev.Publish(b"answer")))
    desk.engine.deliver("somebody", b"go")
    for _ in range(INBOX_MAX - 1):
        desk.engine.deliver("somebody", b"x")
    await desk.until(lambda: bool(desk.transport.sent))
    assert len(desk.machine.heard) < INBOX_MAX // 2
    await desk.end()


async def test_what_the_transport_does_not_take_is_bounded() -> None:
    desk = Desk(on(GO, *(ev.Publish(b"%d" % number) for number in range(PUBLISH_MAX + 50))))
    desk.transport.gate.clear()
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: GO in desk.machine.heard)
    assert desk.engine.dropped >= 49
    desk.transport.gate.set()
    await desk.end()
    assert len(desk.transport.sent) <= PUBLISH_MAX + 1


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (None, ev.Stored(IDS, IDS[:1])),
        (StoreUnavailableError("gone"), ev.StoreDown("gone")),
        (StoreRefusedError("out of range"), ev.StoreRefused(IDS, "out of range")),
    ],
)
async def test_the_databases_answers_are_events(
    trouble: Exception | None, expected: ev.Event
) -> None:
    desk = Desk(on(GO, ev.Write(ROWS)))
    desk.store.trouble = trouble
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: expected in desk.machine.heard)
    await desk.end()


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (None, ev.Observed(TERMS, 60, Observation(TERMS.pair, 7, 0, 0, ("fake",)))),
        (
            NoObservationError("timeout", "3 s"),
            ev.NotObserved(TERMS.pair, 60, "timeout", "3 s"),
        ),
    ],
)
async def test_the_sources_answers_are_events(
    trouble: Exception | None, expected: ev.Event
) -> None:
    desk = Desk(on(GO, ev.Fetch(TERMS, 60, 7_500)))
    desk.source.trouble = trouble
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: expected in desk.machine.heard)
    assert desk.source.deadlines_s == [7.5]
    await desk.end()


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (None, ev.Answered("peer", b"answer")),
        (RequestError("timeout", "3 s"), ev.AskFailed("peer", "timeout", "3 s")),
    ],
)
async def test_the_answers_of_peers_are_events(
    trouble: Exception | None, expected: ev.Event
) -> None:
    desk = Desk(on(GO, ev.Ask("peer", b"question", 5_000)))
    desk.transport.trouble = trouble
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: expected in desk.machine.heard)
    assert desk.transport.asked == [("peer", b"question", 5.0)]
    await desk.end()


def echo(event: ev.Event) -> list[ev.Effect]:
    match event:
        case ev.Asked(data=b"wait"):
            return []
        case ev.Asked(_, token, data):
            return [ev.Answer(token, data)]
        case _:
            return []


async def test_each_peer_gets_the_answer_to_its_own_question() -> None:
    desk = Desk(echo)
    questions = [bytes([number]) for number in range(20)]
    answers = await asyncio.gather(*(desk.engine.respond("peer", data) for data in questions))
    assert answers == questions
    await desk.end()


async def test_questions_that_wait_are_bounded_and_end_with_the_engine() -> None:
    desk = Desk(echo)
    waiting = [
        asyncio.create_task(desk.engine.respond("peer", b"wait")) for _ in range(QUESTIONS_MAX)
    ]
    await desk.until(lambda: len(desk.machine.heard) > QUESTIONS_MAX)
    assert await desk.engine.respond("peer", b"one too many") == b""
    await desk.end()
    assert await asyncio.gather(*waiting) == [b""] * QUESTIONS_MAX
    assert await desk.engine.respond("peer", b"too late") == b""


async def test_notes_and_blame_reach_their_places() -> None:
    desk = Desk(on(GO, NOTE, ev.Penalize("liar", "decimals")))
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: bool(desk.transport.penalized))
    assert desk.notes == [NOTE]
    assert desk.transport.penalized == [("liar", "decimals")]
    await desk.end()


async def test_the_machine_is_told_of_connections_once_when_they_change() -> None:
    desk = Desk(lambda event: [])
    told = [frozenset({"one"}), frozenset({"one", "other"}), frozenset[str]()]

    async def take_a_turn() -> None:
        count = len(desk.machine.heard)
        desk.engine.offer(ev.StoreDown("something"))
        await desk.until(lambda: len(desk.machine.heard) > count)

    for peers in told:
        desk.transport.peers = peers
        await take_a_turn()
        await take_a_turn()
    assert [one.peers for one in desk.machine.heard if isinstance(one, ev.PeersChanged)] == told
    await desk.end()


async def test_the_stores_callbacks_are_events() -> None:
    desk = Desk(lambda event: [])
    up, down = watch_store(desk.engine)
    up(b"S" * 32)
    down("gone")
    await desk.until(lambda: ev.StoreDown("gone") in desk.machine.heard)
    assert ev.StoreUp(b"S" * 32) in desk.machine.heard
    await desk.end()


async def test_closing_sends_what_was_said_before_it_returns() -> None:
    desk = Desk(on(ev.Closing(), ev.Publish(b"last words")))
    await desk.until(lambda: bool(desk.machine.heard))
    await desk.end()
    assert desk.transport.sent == [b"last words"]
    assert desk.running.done()


async def test_closing_ends_even_if_the_database_hangs() -> None:
    desk = Desk(on(GO, ev.Write(ROWS)))
    desk.store.gate.clear()
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: GO in desk.machine.heard)
    await desk.engine.close(0.01)
    await desk.running
    assert desk.store.was_cancelled


async def test_closing_ends_even_if_the_transport_hangs() -> None:
    desk = Desk(on(GO, ev.Publish(b"never")))
    desk.transport.gate.clear()
    desk.engine.deliver("somebody", b"go")
    await desk.until(lambda: GO in desk.machine.heard)
    desk.machine.drained = True
    await desk.engine.close(0.01)
    await desk.running
    assert desk.transport.sent == []


@pytest.mark.parametrize("port", ["store", "source", "transport"])
async def test_what_a_port_did_not_foresee_ends_the_run_loudly(port: str) -> None:
    desk = Desk(on(GO, ev.Write(ROWS), ev.Fetch(TERMS, 60, 1_000), ev.Publish(b"x")))
    getattr(desk, port).trouble = ZeroDivisionError("unforeseen")
    desk.engine.deliver("somebody", b"go")
    with pytest.raises(ExceptionGroup) as caught:
        await desk.running
    assert caught.group_contains(ZeroDivisionError, match="unforeseen")
    await desk.engine.close(5)  # returns at once: there is nothing left to wait for


async def test_a_journal_that_cannot_even_fail_properly_ends_the_run_loudly() -> None:
    desk = Desk(lambda event: [ev.Remember(ev.RoundRecord(1))] if event == GO else [])
    desk.journal.cut = (0, False)
    desk.engine.deliver("somebody", b"go")
    with pytest.raises(ExceptionGroup):
        await desk.running
