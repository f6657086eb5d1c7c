"""The loop: event in, machine step, effects out, in a stated order.

The order is the safety: what a step wants remembered is on disk before anything is signed, and
signed before anything leaves. `Turns` holds that order without any I/O of its own, so that a
simulator drives the very same code; `Engine` is the asyncio loop around it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from gossip_price.core import events as ev
from gossip_price.core.machine import Machine
from gossip_price.core.types import Now
from gossip_price.ports import (
    Clock,
    Journal,
    JournalError,
    NoObservationError,
    Observer,
    PriceSource,
    RequestError,
    Signer,
    Store,
    StoreRefusedError,
    StoreUnavailableError,
    Transport,
)

#: Gossip messages that wait for the machine; beyond it the newest are dropped and counted.
INBOX_MAX: Final = 8_192
#: Events taken in one turn, so that their records share one synced transaction.
TURN_EVENTS_MAX: Final = 256
#: Messages that wait for the transport; the machine itself sends a few a second.
PUBLISH_MAX: Final = 256

#: Questions of others that wait for the machine, which answers in its next turn.
QUESTIONS_MAX: Final = 64
#: A turn is late when the machine is; then the peer had better ask another.
RESPOND_S: Final = 5.0

#: What leaves the process: never before the journal and the signatures of its turn.
Outward = (
    ev.Fetch
    | ev.Publish
    | ev.Write
    | ev.ReadRows
    | ev.Correct
    | ev.AddSignatures
    | ev.Ask
    | ev.Answer
    | ev.Penalize
    | ev.Note
)
_RECALLS: Final = (ev.Recall, ev.RecallRange)


class Turns:
    """Machine, journal and signer, in their order."""

    def __init__(self, machine: Machine, journal: Journal, signer: Signer) -> None:
        self.machine = machine
        self._journal = journal
        self._signer = signer
        self._journal_failing = False

    def take(self, events: Iterable[ev.Event], now: Now) -> list[Outward]:
        """Let the machine take these events; return what may leave now.

        1. One synced transaction for all records. If it fails, nothing of this turn is signed.
        2. Signatures, each fed back to the machine, whose effects go the same way.
        3. What is to be read back from the journal, fed back likewise.
        4. Everything else, for the caller to carry out.
        """
        step = self.machine.step
        effects: list[ev.Effect] = []
        for event in events:
            effects += step(event, now)
        outward: list[Outward] = []
        while effects:
            records: list[ev.Record] = []
            digests: list[bytes] = []
            recalls: list[ev.Recall | ev.RecallRange] = []
            for effect in effects:
                if isinstance(effect, ev.Note):
                    outward.append(effect)  # what there is most of
                elif isinstance(effect, ev.Remember):
                    records.append(effect.record)
                elif isinstance(effect, ev.Sign):
                    digests.append(effect.digest)
                elif isinstance(effect, _RECALLS):
                    recalls.append(effect)
                else:
                    outward.append(effect)
            effects = []
            if records:
                effects += self._remember(records, now)
                if self._journal_failing:
                    digests.clear()
            for digest in digests:
                signature = self._signer.sign(digest)
                effects += step(ev.Signed(digest, signature), now)
            for recall in recalls:
                effects += step(self._recall(recall), now)
        return outward

    def _remember(self, records: list[ev.Record], now: Now) -> list[ev.Effect]:
        """Make the records durable; let the machine know if that fails, or works again."""
        try:
            self._journal.write(records)
        except JournalError as error:
            self._journal_failing = True
            return self.machine.step(ev.JournalFailed(str(error)), now)
        if not self._journal_failing:
            return []
        self._journal_failing = False
        return self.machine.step(ev.JournalRecovered(), now)

    def _recall(self, recall: ev.Recall | ev.RecallRange) -> ev.Recalled | ev.RangeRecalled:
        """Read back from the journal; a journal that cannot be read remembers nothing."""
        if isinstance(recall, ev.RecallRange):
            try:
                if recall.ids:
                    found = self._journal.read_proven(recall.ids)
                else:
                    found = self._journal.read_proven_range(recall.after, recall.limit)
            except JournalError:
                return ev.RangeRecalled(recall.token, None)
            return ev.RangeRecalled(recall.token, found)
        try:
            records = self._journal.read_proven(recall.ids)
        except JournalError:
            records = ()
        return ev.Recalled(recall.token, records)


class Engine:
    """The asyncio loop of one node. `run` until `close`; everything bounded."""

    def __init__(
        self,
        turns: Turns,
        *,
        transport: Transport,
        source: PriceSource,
        store: Store,
        clock: Clock,
        observers: Iterable[Observer],
    ) -> None:
        self._turns = turns
        self._machine = turns.machine
        self._transport = transport
        self._source = source
        self._store = store
        self._clock = clock
        self._observers = tuple(observers)
        self._inbox: deque[ev.Event] = deque()
        self._wake = asyncio.Event()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(PUBLISH_MAX)
        self._unsent = 0
        self._questions: dict[int, asyncio.Future[bytes]] = {}
        self._token = 0
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._late = False
        self._peers: frozenset[str] = frozenset()
        self.dropped = 0
        self.last_turn_ms = clock.now().mono_ms

    def deliver(self, author: str, data: bytes) -> None:
        """Take a gossip message from the transport; drop it when too many wait."""
        if len(self._inbox) >= INBOX_MAX:
            self.dropped += 1
            return
        self.offer(ev.Received(author, data))

    async def respond(self, peer: str, data: bytes) -> bytes:
        """Let the machine answer a peer's question; no bytes when it does not, or not in time."""
        if len(self._questions) >= QUESTIONS_MAX or self._closed.is_set():
            return b""
        self._token += 1
        token = self._token
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._questions[token] = future
        self.offer(ev.Asked(peer, token, data))
        try:
            async with asyncio.timeout(RESPOND_S):
                return await future
        except TimeoutError:
            return b""
        finally:
            del self._questions[token]

    def offer(self, event: ev.Event) -> None:
        """Take any other event; these are few and never dropped."""
        self._inbox.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Take turns until `close` has drained the machine. Raises what a port did not foresee."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                publisher = group.create_task(self._publish_all())
                self._carry_out(self._turns.take([ev.Tick()], self._clock.now()))
                while not self._is_done():
                    await self._wait()
                    self._take_turn()
                    # A full inbox must not keep the loop from everything else.
                    await asyncio.sleep(0)
                publisher.cancel()
                for task in self._tasks:
                    task.cancel()
        finally:
            self._closed.set()
            for future in self._questions.values():
                _settle(future, b"")

    def _take_turn(self) -> None:
        count = min(len(self._inbox), TURN_EVENTS_MAX)
        events: list[ev.Event] = [self._inbox.popleft() for _ in range(count)]
        if not self._inbox:
            self._wake.clear()
        now = self._clock.now()
        # Looked at in each turn: only our own next heartbeat, which is a turn, has to know.
        peers = self._transport.get_peers()
        if peers != self._peers:
            self._peers = peers
            events.insert(0, ev.PeersChanged(peers))
        self._carry_out(self._turns.take(events or [ev.Tick()], now))
        self.last_turn_ms = now.mono_ms

    def _is_done(self) -> bool:
        return self._late or (self._machine.is_drained() and not self._unsent)

    async def close(self, deadline_s: float) -> None:
        """Sign nothing more, send and store what is ready; return after `deadline_s` at most.

        What is then still under way is given up, and `run` ends.
        """
        self.offer(ev.Closing())
        try:
            async with asyncio.timeout(deadline_s):
                await self._closed.wait()
        except TimeoutError:
            self._late = True
            self._wake.set()

    async def _wait(self) -> None:
        """Wait for an event or the machine's next deadline."""
        now = self._clock.now()
        delay_ms = self._machine.get_deadline_ms(now) - now.mono_ms
        try:
            # Not wait_for: in 3.11 it swallows a cancellation that meets the event, and the run
            # would outlive the failure of one of its parts.
            # One millisecond more: the deadline is a whole one, the clock has fractions.
            async with asyncio.timeout(max(0, delay_ms) / 1000 + 0.001):
                await self._wake.wait()
        except TimeoutError:
            return

    def _carry_out(self, outward: list[Outward]) -> None:
        for effect in outward:
            match effect:
                case ev.Note():
                    for observe in self._observers:
                        observe(effect)
                case ev.Publish():
                    self._enqueue(effect.data)
                case ev.Write():
                    self._start(self._write(effect))
                case ev.ReadRows() | ev.Correct() | ev.AddSignatures():
                    self._start(self._audit(effect))
                case ev.Fetch():
                    self._start(self._fetch(effect))
                case ev.Ask():
                    self._start(self._ask(effect))
                case ev.Answer():
                    if effect.token in self._questions:
                        _settle(self._questions[effect.token], effect.data)
                case ev.Penalize():
                    self._transport.penalize(effect.author, effect.reason)

    def _enqueue(self, data: bytes) -> None:
        try:
            self._outgoing.put_nowait(data)
        except asyncio.QueueFull:
            self.dropped += 1
        else:
            self._unsent += 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            raise RuntimeError("the engine carries out effects only while it runs")
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish_all(self) -> None:
        """Hand messages to the transport one after the other, in their order."""
        while True:
            data = await self._outgoing.get()
            await self._transport.publish(data)
            self._unsent -= 1
            self._wake.set()

    async def _write(self, effect: ev.Write) -> None:
        ids = tuple(row.id for row in effect.rows)
        try:
            inserted = await self._store.insert(effect.rows)
        except StoreUnavailableError as error:
            self.offer(ev.StoreDown(str(error)))
        except StoreRefusedError as error:
            self.offer(ev.StoreRefused(ids, str(error)))
        else:
            self.offer(ev.Stored(ids, inserted))

    async def _audit(self, effect: ev.ReadRows | ev.Correct | ev.AddSignatures) -> None:
        """Carry out a statement of the audit. What it fails at delays nothing else.

        If it failed because the connection is gone, the store itself tells of that.
        """
        token = effect.token
        try:
            match effect:
                case ev.ReadRows():
                    wanted = effect.ids if effect.range is None else effect.range
                    deadline_s = effect.deadline_ms / 1000
                    rows = await self._store.read_rows(wanted, deadline_s)
                    self.offer(ev.RowsRead(token, rows))
                case ev.Correct():
                    moved, inserted = await self._store.correct(effect.corrections)
                    self.offer(ev.Corrected(token, moved, inserted))
                case ev.AddSignatures():
                    added = await self._store.add_signatures(effect.late)
                    self.offer(ev.SignaturesAdded(token, added))
        except StoreUnavailableError as error:
            self.offer(ev.AuditFailed(token, str(error)))
        except StoreRefusedError as error:
            self.offer(ev.AuditFailed(token, str(error), is_refusal=True))

    async def _fetch(self, effect: ev.Fetch) -> None:
        try:
            observation = await self._source.observe(effect.terms, effect.deadline_ms / 1000)
        except NoObservationError as error:
            pair = effect.terms.pair
            self.offer(ev.NotObserved(pair, effect.round, error.reason, error.detail))
        else:
            self.offer(ev.Observed(effect.terms, effect.round, observation))

    async def _ask(self, effect: ev.Ask) -> None:
        deadline_s = effect.deadline_ms / 1000
        try:
            answer = await self._transport.request(effect.peer, effect.data, deadline_s)
        except RequestError as error:
            self.offer(ev.AskFailed(effect.peer, error.reason, error.detail))
        else:
            self.offer(ev.Answered(effect.peer, answer))


def _settle(future: asyncio.Future[bytes], data: bytes) -> None:
    if not future.done():
        future.set_result(data)


def watch_store(engine: Engine) -> tuple[Callable[[bytes], None], Callable[[str], None]]:
    """Return the callbacks (up, down) that a Store tells its state to."""
    return (
        lambda store: engine.offer(ev.StoreUp(store)),
        lambda reason: engine.offer(ev.StoreDown(reason)),
    )
