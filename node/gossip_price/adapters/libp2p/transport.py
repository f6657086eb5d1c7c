"""`ports.Transport` for an asyncio application: libp2p with trio, in a thread of its own.

The best shape measured: +10 % CPU against pure trio, and a hung database is noticed in time.
The thread dies loudly or when asked to: `wait_failed` is for whoever must end the process.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio

from gossip_price.adapters.libp2p.addresses import parse_bootstrap
from gossip_price.adapters.libp2p.awake import wait_awake
from gossip_price.adapters.libp2p.config import LibP2pConfig
from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.adapters.libp2p.inbox import Inbox
from gossip_price.adapters.libp2p.membership import Membership
from gossip_price.adapters.libp2p.node import Node, Owner
from gossip_price.core.limits import MESSAGE_BYTES_MAX
from gossip_price.ports import Connection, Deliver, RequestError, Respond

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Messages handed over before the loop gets its turn for other things.
SLICE: Final = 32
#: Publishing only queues; it waits for a busy trio thread, not for the network.
PUBLISH_S: Final = 10.0
#: For the trio thread to be busy, beyond the deadline of a request.
REQUEST_SPARE_S: Final = 5.0
CLOSE_S: Final = 2.0

Learned = Callable[[dict[str, tuple[str, ...]]], None]


class TransportFailedError(RuntimeError):
    """The p2p thread ended by itself; its cause is the traceback."""


class LibP2pTransport:
    """One node of one network. Methods are called on the asyncio loop's thread."""

    def __init__(
        self,
        config: LibP2pConfig,
        admit_message: Callable[[str, bytes], bool],
        learned: Learned,
    ) -> None:
        """Prepare; nothing listens before `start`.

        `admit_message(author, data)` is called on the p2p thread and must be pure and quick;
        False: neither delivered nor relayed. `learned(peer book)` is called on the loop.
        Raises ValueError for an address that is none.
        """
        self._config = config
        self._admit_message = admit_message
        self._learned = learned
        self._counters = Counters()
        trusted = frozenset(parse_bootstrap(text)[0] for text in config.bootstrap)
        self._membership = Membership(config.allowed, trusted, config.open_access)
        self._inbox = Inbox()
        self._addresses: list[str] = []
        self._pending: set[asyncio.Future[Any]] = set()
        self._closing = False
        self._failure: BaseException | None = None
        self._node: Node | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None

    async def start(self, deliver: Deliver, respond: Respond | None = None) -> None:
        """Listen, join and begin to deliver. Raises OSError when an address cannot be bound.

        `respond(peer, question)` is called on the loop; without it nobody may ask anything.
        """
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._respond = respond
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run_thread, name="libp2p", daemon=True)
        self._thread.start()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ready, self._ended)]
        try:
            await asyncio.wait(
                waits,
                timeout=self._config.tuning.start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()
        if self._ended.is_set():
            raise _find_cause(self._failure) or TransportFailedError("it ended while it started")
        if not self._ready.is_set():
            await self.aclose()
            raise TimeoutError(
                f"libp2p did not start within {self._config.tuning.start_timeout_s} s"
            )

    def get_addresses(self) -> list[str]:
        """Return the multiaddresses we listen on, peer id included."""
        return list(self._addresses)

    def get_peers(self) -> frozenset[str]:
        """Return the peer ids of live connections, bootstraps among them."""
        return self._node.peers if self._node is not None else frozenset()

    def get_connections(self) -> tuple[Connection, ...]:
        """Return the connections behind `get_peers`, one a peer, the oldest if it has several."""
        return self._node.connections if self._node is not None else ()

    def get_counters(self) -> dict[str, int]:
        """Return what was counted since the start, by name."""
        return self._counters.snapshot()

    async def publish(self, data: bytes) -> None:
        """Send to all; returns once queued for every peer that listens.

        Raises ValueError beyond limits.MESSAGE_BYTES_MAX (libp2p would drop it silently),
        ConnectionError when the transport does not run.
        """
        if len(data) > MESSAGE_BYTES_MAX:
            raise ValueError(f"a message has at most {MESSAGE_BYTES_MAX} bytes, not {len(data)}")
        node = self._node
        if node is None or self._closing:
            raise ConnectionError("the p2p transport is not running")
        await self._run_there(node.publish(data), PUBLISH_S)

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        """Ask one connected peer directly and return its answer.

        Raises RequestError; a peer that is not connected is not dialed.
        """
        node = self._node
        if node is None or self._closing:
            raise RequestError("unconnected", "the p2p transport is not running")
        try:
            work = node.request(peer, data, deadline_s)
            return await self._run_there(work, deadline_s + REQUEST_SPARE_S)
        except ConnectionError as error:
            raise RequestError("broken", str(error)) from error
        except TimeoutError as error:
            raise RequestError("timeout", "the p2p thread is busy") from error

    def admit(self, peers: frozenset[str]) -> None:
        """Replace the peer ids that may connect (Private); others' connections are cut."""
        self._membership.replace(peers)
        if self._node is not None:
            self._call_soon(self._node.cut_unadmitted)

    def penalize(self, peer: str, reason: str) -> None:
        """Cut a peer off, and drop what it authors, for `tuning.ban_s`."""
        if self._node is not None:
            self._call_soon(self._node.penalize, peer, reason)

    async def wait_failed(self) -> None:
        """Wait for the transport's end: raises if it failed, returns if it was closed."""
        await self._ended.wait()
        if self._failure is not None:
            raise TransportFailedError("the p2p thread ended by itself") from self._failure
        if not self._closing:
            raise TransportFailedError("the p2p thread ended by itself, without an error")

    async def aclose(self) -> None:
        """Flush what was published, say goodbye, close; at most 2 seconds."""
        self._closing = True
        if self._node is None:
            return
        self._call_soon(self._node.stop)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()
        except TimeoutError:
            log.warning("transport_abandoned", extra={"reason": f"not ended within {CLOSE_S:g} s"})

    # Between the threads.

    def _run_thread(self) -> None:
        try:
            trio.run(self._run_node)
        except BaseException as error:  # supervising edge: raised in wait_failed
            self._failure = error
            if not _find_cause(error):
                log.critical("libp2p ended", exc_info=error)
        self._tell(self._note_end)

    async def _run_node(self) -> None:
        if self._closing:  # closed before the thread got this far
            return
        self._token = trio.lowlevel.current_trio_token()
        self._node = Node(
            self._config,
            self._membership,
            self._counters,
            Owner(
                admit=self._admit_message,
                deliver=self._put,
                ready=self._note_ready,
                learned=self._note_learned,
                respond=self._respond_there if self._respond is not None else None,
            ),
        )
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._node.run()
            nursery.cancel_scope.cancel()

    def _call_soon(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            if self._token is not None:
                self._token.run_sync_soon(function, *arguments)
        except trio.RunFinishedError:
            log.debug("the p2p thread has ended; %s is void", function.__name__)

    async def _run_there(self, work: Coroutine[Any, Any, T], deadline_s: float) -> T:
        """Run `work` on the trio thread and return what it returns."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending.add(future)
        try:
            self._start_soon(work, future)
            return await wait_awake(future, deadline_s)
        finally:
            self._pending.discard(future)

    async def _respond_there(self, peer: str, data: bytes) -> bytes:
        """On the trio thread: let the loop's `respond` answer."""
        assert self._respond is not None  # noqa: S101  # else nobody calls this
        token = trio.lowlevel.current_trio_token()
        answered = trio.Event()

        def wake(_future: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(answered.set)

        work = self._respond(peer, data)
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        future.add_done_callback(wake)
        try:
            await answered.wait()
        finally:
            future.cancel()
        return future.result()

    def _start_soon(self, work: Coroutine[Any, Any, T], future: asyncio.Future[T]) -> None:
        async def run() -> None:
            try:
                result = await work
            except Exception as trouble:  # noqa: BLE001  # supervising edge: raised where it waits
                self._tell(_fail, future, trouble)
            else:
                self._tell(_settle, future, result)

        def start() -> None:
            if self._nursery is None or self._nursery.cancel_scope.cancel_called:
                work.close()
                self._tell(_fail, future, ConnectionError("the p2p transport has ended"))
            else:
                self._nursery.start_soon(run)

        try:
            assert self._token is not None  # noqa: S101  # set before the node
            self._token.run_sync_soon(start)
        except trio.RunFinishedError:
            work.close()
            raise ConnectionError("the p2p transport has ended") from None

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the loop's thread; nothing once the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the asyncio loop is closed; %s is void", function)

    def _put(self, author: str, data: bytes) -> None:
        taken, wake = self._inbox.put(author, data)
        self._counters.delivered += taken
        self._counters.dropped += not taken
        if wake:
            self._tell(self._drain)

    def _drain(self) -> None:
        messages, more = self._inbox.take(SLICE)
        if more:
            self._loop.call_soon(self._drain)
        for author, data in messages:
            self._deliver(author, data)

    def _note_ready(self, addresses: list[str]) -> None:
        def note() -> None:
            self._addresses = addresses
            self._ready.set()

        self._tell(note)

    def _note_learned(self, book: dict[str, tuple[str, ...]]) -> None:
        self._tell(self._learned, book)

    def _note_end(self) -> None:
        self._ended.set()
        for future in self._pending:
            _fail(future, ConnectionError("the p2p transport has ended"))


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _find_cause(error: BaseException | None) -> BaseException | None:
    """Return the OSError or ValueError that alone is within nurseries' groups, if it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, OSError | ValueError) else None
