"""A quick node: the real engine, machine, journal, signer and store, without libp2p and HTTP.

It starts in tens of milliseconds, so that hundreds can be killed in a minute. Its peers are
datagram sockets in a folder, its prices a formula, and its hours `SPEED` times as fast as ours:
clock and event loop together, so that a quiet half minute takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from faults.process_life import redirect_output, tie_to_parent
from faults.recorder import Recorder
from faults.watched import (
    Eye,
    WatchedJournal,
    WatchedSending,
    WatchedSigner,
    WatchedStore,
    WatchedTurns,
    watch,
)
from gossip_price.core.machine import Machine
from gossip_price.core.types import Now, Observation
from gossip_price.engine import Engine, watch_store
from gossip_price.network.document import Document, PairTerms
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import Connection, Deliver, RequestError, Respond

SPEED: Final = 4
#: Messages that a receiver misses: what gossip loses is asked for, so that answers are given.
_LOSS: Final = 0.15
_MESSAGE, _QUESTION, _ANSWER = range(3)


class IslandOrder(NamedTuple):
    """What a quick node needs to know. `anchor` is (monotonic ns, wall ms) of the same moment."""

    folder: Path
    node: int
    life: int
    documents: tuple[bytes, ...]
    secret: bytes
    anchor: tuple[int, int]
    database: str
    mark: str | None
    crossing: int


def to_wall_ms(anchor: tuple[int, int], ns: int) -> int:
    """Return the island's time at a monotonic nanosecond of the machine."""
    return anchor[1] + (ns - anchor[0]) * SPEED // 1_000_000


class FastClock:
    """Both clocks, `SPEED` times as fast."""

    def __init__(self, anchor: tuple[int, int]) -> None:
        self._anchor = anchor

    def now(self) -> Now:
        ns = time.monotonic_ns()
        return Now(to_wall_ms(self._anchor, ns), ns * SPEED // 1_000_000)


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / SPEED)


class _FastLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_FastSelector())

    def time(self) -> float:
        return super().time() * SPEED


class DatagramTransport:
    """A `ports.Transport` over datagram sockets in a folder; who is not there misses it."""

    def __init__(self, folder: Path, index: int, peers: tuple[str, ...]) -> None:
        self._folder = folder
        self._index = index
        self._peers = peers
        self._token = 0
        self._dice = random.Random()  # noqa: S311 - loss, not a secret
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, deliver: Deliver, respond: Respond | None = None) -> None:
        self._deliver = deliver
        self._respond = respond
        path = self._get_path(self._index)
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  # of the life before
        self._socket.bind(path)
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def get_addresses(self) -> list[str]:
        return [self._get_path(self._index)]

    def get_peers(self) -> frozenset[str]:
        return frozenset(self._peers) - {self._peers[self._index]}

    def get_connections(self) -> tuple[Connection, ...]:
        return tuple(Connection(peer, False, 0) for peer in sorted(self.get_peers()))

    async def publish(self, data: bytes) -> None:
        for other in range(len(self._peers)):
            if other != self._index and self._dice.random() >= _LOSS:
                self._send(other, _MESSAGE, 0, data)

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        self._token += 1
        token = self._token
        future = self._waiting[token] = asyncio.get_running_loop().create_future()
        if not self._send(self._peers.index(peer), _QUESTION, token, data):
            raise RequestError("unconnected", "nobody is there")
        try:
            async with asyncio.timeout(deadline_s):
                answer: bytes = await future
                return answer
        except TimeoutError:
            raise RequestError("timeout", "no answer") from None
        finally:
            self._waiting.pop(token, None)

    def admit(self, peers: frozenset[str]) -> None:
        """Everybody is here."""

    def penalize(self, peer: str, reason: str) -> None:
        """Recorded by the watched turns; on an island nobody can be cut off."""

    async def aclose(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _get_path(self, index: int) -> str:
        return str(self._folder / f"{index}.socket")

    def _send(self, other: int, kind: int, token: int, data: bytes) -> bool:
        frame = msgspec.msgpack.encode((self._index, kind, token, data))
        try:
            self._socket.sendto(frame, self._get_path(other))
        except OSError:
            return False  # killed, or too busy to listen: lost, as messages may be
        return True

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sender, kind, token, data = msgspec.msgpack.decode(self._socket.recv(1 << 20))
                if kind == _MESSAGE:
                    self._deliver(self._peers[sender], data)
                elif kind == _QUESTION and self._respond is not None:
                    task = asyncio.ensure_future(self._answer(sender, token, data))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                elif token in self._waiting and not self._waiting[token].done():
                    self._waiting[token].set_result(data)

    async def _answer(self, asker: int, token: int, data: bytes) -> None:
        assert self._respond is not None
        answer = await self._respond(self._peers[asker], data)
        self._send(asker, _ANSWER, token, answer)


class WatchedDatagrams(WatchedSending, DatagramTransport):
    """Datagrams with an eye on them."""


class FormulaSource:
    """A price that every node can compute; each is off by its own few units."""

    def __init__(self, clock: FastClock, index: int) -> None:
        self._clock = clock
        self._index = index

    async def observe(self, terms: PairTerms, deadline_s: float) -> Observation:
        unix_s = self._clock.now().wall_ms // 1000
        price = 300_000_000_000 + unix_s % 9_973 * 10_000 + self._index
        return Observation(terms.pair, price, unix_s, 0, ("formula",))


def run_forked(log: str, order: IslandOrder) -> None:
    """Be a node, in a process that was forked from one that has imported all this."""
    tie_to_parent()
    redirect_output(log)
    loop = _FastLoop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_run(order))


async def _run(order: IslandOrder) -> None:
    clock = FastClock(order.anchor)
    eye = Eye(
        Recorder(order.folder / "facts", order.node, order.life), clock, order.mark, order.crossing
    )
    watch(eye, WatchedDatagrams)
    eye.tell("began")
    chain = EpochChain([Document.parse(each) for each in order.documents])
    signer = WatchedSigner(order.secret)
    now = clock.now()
    journal = WatchedJournal(
        order.folder / f"{order.node}.sqlite",
        address=signer.address,
        network_id=chain.network_id,
        now_ms=now.wall_ms,
    )
    machine = Machine(
        chain=chain, me=signer.address, boot_ms=now.wall_ms, version="island",
        remembered=journal.load(), now=now,
    )  # fmt: skip
    store = WatchedStore(lambda: order.database, dice=random.random)
    store.set_epochs(chain.documents)
    transport = WatchedDatagrams(
        order.folder, order.node, tuple(member.peer_id for member in chain.newest.members)
    )
    engine = Engine(
        WatchedTurns(machine, journal, signer),
        transport=transport,
        source=FormulaSource(clock, order.node),
        store=store,
        clock=clock,
        observers=(),
    )
    stop = asyncio.Event()
    add: Callable[..., None] = asyncio.get_running_loop().add_signal_handler
    add(signal.SIGTERM, stop.set)
    await transport.start(engine.deliver, engine.respond)
    running = asyncio.create_task(engine.run())
    await store.start(*watch_store(engine))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    await engine.close(4.0)
    await asyncio.gather(running, return_exceptions=True)
    await store.aclose()
    await transport.aclose()
    journal.close()
