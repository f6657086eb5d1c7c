"""The real ports of a node with an eye on each: what passes is recorded, and death waits at marks.

Subclasses of what the product runs with; nothing here changes what a node does, except that it
ends by SIGKILL at the n-th crossing of a mark, when the test that started it said so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from faults.recorder import Recorder
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.adapters.signer import LocalSigner
from gossip_price.core import events as ev
from gossip_price.core.types import Now, StoredRow
from gossip_price.engine import Outward, Turns
from gossip_price.ports import Clock, Deliver, Respond
from gossip_price.simulator.checkers.bounds import find_forgotten, measure
from gossip_price.simulator.facts import Claim

#: In the order of a price's way; each is between two things that must not be torn apart.
SIGN_MARKS: Final = (
    "vote: decided, not in the journal",
    "vote: in the transaction, before COMMIT",
    "vote: committed, not signed",
    "vote: signed, nothing has left",
    "message: before it leaves",
    "message: after it left, before the next",
    "answer: before it leaves",
    "proof: in the transaction, before COMMIT",
    "proof: committed",
)
STORE_MARKS: Final = (
    "INSERT: before it is sent",
    "INSERT: sent, before the answer",
    "INSERT: committed, nothing noted",
    "stored: in the transaction, before COMMIT",
    "stored: committed, no receipt left",
)
#: Every so many turns a node's containers are measured; not in the first, which has yet to sort
#: what the journal brought.
_MEASURE_TURNS: Final = 20


class Eye:
    """What a life's ports share: where facts go, the clock, and where the life ends."""

    def __init__(
        self, recorder: Recorder, clock: Clock, mark: str | None = None, crossing: int = 1
    ) -> None:
        if mark is not None and mark not in SIGN_MARKS + STORE_MARKS:
            raise ValueError(f"mark: {mark!r} given, allowed: {SIGN_MARKS + STORE_MARKS}")
        self._recorder = recorder
        self._clock = clock
        self._mark = mark
        self._crossings_left = crossing
        #: What this life has voted for: its signature is what must not get lost or doubled.
        self.votes: set[bytes] = set()
        #: The time of the turn under way, by which the node judges: on a busy machine facts are
        #: written down much later.
        self.turn: Now | None = None

    def tell(self, kind: str, *values: object) -> None:
        """Record a fact, at the time of the turn that it belongs to."""
        self._recorder.tell(self.turn or self._clock.now(), kind, *values)

    def cross(self, mark: str) -> None:
        """Pass a mark; the end of this life, if it is the one."""
        if mark != self._mark:
            return
        self._crossings_left -= 1
        if self._crossings_left == 0:
            self.tell("killed", mark)
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedTurns(Turns):
    """Shows what a turn takes and what it lets out."""

    eye: Eye

    def __init__(self, machine: Any, journal: Any, signer: Any) -> None:
        super().__init__(machine, journal, signer)
        self._taken = 0

    def take(self, events: Iterable[ev.Event], now: Now) -> list[Outward]:
        self.eye.turn = now
        try:
            return self._take(list(events), now)
        finally:
            self.eye.turn = None

    def _take(self, events: Sequence[ev.Event], now: Now) -> list[Outward]:
        self.eye.tell("turned")
        for event in events:
            if isinstance(event, ev.Received):
                self.eye.tell("heard", event.author, event.data)
            elif isinstance(event, ev.Answered):
                self.eye.tell("answered", event.peer, event.data)
            elif isinstance(event, ev.Observed):
                seen = event.observation
                self.eye.tell("observed", seen.pair, event.round, seen.price)
            elif isinstance(event, ev.Corrected):
                self.eye.tell("corrected", list(event.moved), list(event.inserted))
        outward = super().take(events, now)
        for effect in outward:
            match effect:
                case ev.Publish():
                    self.eye.tell("published", effect.data)
                case ev.Write():
                    self.eye.tell("asked_to_write", [to_plain_row(row) for row in effect.rows])
                case ev.Penalize():
                    self.eye.tell("penalized", effect.author, effect.reason)
                case ev.Note():
                    told = (effect.kind.value, effect.pair, effect.round, effect.id, effect.count)
                    self.eye.tell("told", *told, effect.reason, effect.author)
        self._taken += 1
        if self._taken % _MEASURE_TURNS == 0:
            forgotten = list(find_forgotten(self.machine))
            self.eye.tell("measured", list(measure(self.machine)), forgotten)
        return outward


class WatchedJournal(SqliteJournal):
    """Shows every vote and every proof before it may fail."""

    eye: Eye

    def write(self, records: Sequence[ev.Record]) -> None:
        has_vote = any(isinstance(record, ev.Vote) for record in records)
        if has_vote:
            self.eye.cross("vote: decided, not in the journal")
        for record in records:
            if isinstance(record, ev.Vote):
                self.eye.votes.add(record.id)
                self.eye.tell("voted", record.id, to_plain_claim(record.report))
            elif isinstance(record, ev.ProvenRecord):
                signatures = [[one.member, one.signature] for one in record.entry.signatures]
                claim = to_plain_claim(record.entry.report)
                self.eye.tell("kept", record.id, claim, signatures)
        super().write(records)
        if has_vote:
            self.eye.cross("vote: committed, not signed")
        if any(isinstance(record, ev.ProvenRecord) for record in records):
            self.eye.cross("proof: committed")
        if any(isinstance(record, ev.StoredRecord) and record.confirmed for record in records):
            self.eye.cross("stored: committed, no receipt left")

    def _put(self, connection: sqlite3.Connection, record: ev.Record) -> None:
        super()._put(connection, record)
        if isinstance(record, ev.Vote):
            self.eye.cross("vote: in the transaction, before COMMIT")
        elif isinstance(record, ev.ProvenRecord):
            self.eye.cross("proof: in the transaction, before COMMIT")
        elif isinstance(record, ev.StoredRecord) and record.confirmed:
            self.eye.cross("stored: in the transaction, before COMMIT")


class WatchedSigner(LocalSigner):
    """Shows every digest that was signed, before anybody has the signature."""

    eye: Eye
    __slots__ = ()

    def sign(self, digest: bytes) -> bytes:
        signature = super().sign(digest)
        self.eye.tell("signed", digest)
        if digest in self.eye.votes:
            self.eye.cross("vote: signed, nothing has left")
        return signature


class WatchedStore(PostgresStore):
    """Shows what the database answered."""

    eye: Eye

    async def insert(self, rows: Sequence[StoredRow]) -> tuple[bytes, ...]:
        self.eye.cross("INSERT: before it is sent")
        work = asyncio.ensure_future(super().insert(rows))
        # Three trips: prepare, describe, execute. Later and later in them, from crossing to
        # crossing, so that SIGKILL meets every state of the statement.
        for _ in range(1 + os.getpid() % 8):
            await asyncio.sleep(0)
        self.eye.cross("INSERT: sent, before the answer")
        inserted = await work
        self.eye.tell("inserted", list(inserted))
        self.eye.cross("INSERT: committed, nothing noted")
        return inserted


class WatchedSending:
    """What leaves by a Transport; stands before the real one in the order of classes."""

    eye: Eye

    async def start(self, deliver: Deliver, respond: Respond | None = None) -> None:
        async def answer(peer: str, data: bytes) -> bytes:
            assert respond is not None
            given = await respond(peer, data)
            self.eye.cross("answer: before it leaves")
            return given

        start: Any = super().start  # type: ignore[misc]  # the real transport's
        await start(deliver, answer if respond is not None else None)

    async def publish(self, data: bytes) -> None:
        publish: Any = super().publish  # type: ignore[misc]  # the real transport's
        self.eye.cross("message: before it leaves")
        await publish(data)
        self.eye.cross("message: after it left, before the next")


def watch(eye: Eye, *classes: type) -> None:
    """Let every watched part of this process, which is one node, use this eye."""
    for watched in (WatchedTurns, WatchedJournal, WatchedSigner, WatchedStore, *classes):
        watched.eye = eye  # type: ignore[attr-defined]  # all of them have one


def to_plain_claim(report: object) -> list[Any]:
    """Return a report's fields as a checker's Claim has them."""
    return [getattr(report, name) for name in Claim._fields]


def to_plain_row(row: StoredRow) -> list[Any]:
    """Return a row as a checker's Row has it."""
    return [row.id, to_plain_claim(row.report), [list(pair) for pair in row.signatures]]


def to_message(answer: bytes) -> bytes | None:
    """Return an answer's entries as a message of gossip; None if it has none."""
    try:
        kind, entries = msgspec.msgpack.decode(answer)
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None
    return msgspec.msgpack.encode([1, entries, [], []]) if kind == "entries" else None
