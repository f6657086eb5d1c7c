"""The composition root: the only place where real parts meet. One process, one node.

Knows which adapter stands behind which port, and in which order they start and end; decides
nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from gossip_price import __version__
from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.http import HttpServer
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.keyfiles import read_key
from gossip_price.adapters.libp2p import LibP2pConfig, LibP2pTransport
from gossip_price.adapters.logs import NoteLogger
from gossip_price.adapters.metrics import NodeMetrics
from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.adapters.signer import LocalSigner
from gossip_price.adapters.sources import HttpPriceSource
from gossip_price.core.machine import Machine
from gossip_price.core.wire import is_well_formed
from gossip_price.engine import Engine, Turns, watch_store
from gossip_price.network.document import NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import compute_peer_id, format_address
from gossip_price.ports import JournalError
from gossip_price.settings import Settings

log = structlog.get_logger(__name__)

#: Of the five seconds that a leaving process has: draining the machine, then everything else.
DRAIN_S: Final = 2.0
LEAVE_S: Final = 2.5
#: The engine takes a turn at least at every heartbeat (5 s, 64 s at 256 members).
STALLED_S: Final = 150


class NodeHealth:
    """What the probes ask of a node: ready means joined, clock sane, journal writable."""

    def __init__(self, transport: LibP2pTransport, machine: Machine, engine: Engine) -> None:
        self._transport = transport
        self._machine = machine
        self._engine = engine
        self._clock = SystemClock()

    def find_live_problems(self) -> Mapping[str, str]:
        """Progress, not existence: the engine's last turn must not be long ago."""
        idle_s = (self._clock.now().mono_ms - self._engine.last_turn_ms) / 1000
        if idle_s > STALLED_S:
            return {"engine": f"no turn for {idle_s:.0f} s"}
        return {}

    def find_ready_problems(self) -> Mapping[str, str]:
        """Name what keeps this node from taking part. Postgres is not among it."""
        problems = {}
        if not self._transport.get_peers():
            problems["peers"] = "not connected to any peer; see GP_BOOTSTRAPADDR"
        clock = self._machine.find_clock_problem(self._clock.now())
        if clock is not None:
            problems["clock"] = clock
        if self._machine.is_journal_failing:
            problems["journal"] = "the journal takes no records; see the log for the reason"
        return problems


class BootstrapHealth:
    """A bootstrap is alive and ready when it listens: it is there to be found."""

    def find_live_problems(self) -> Mapping[str, str]:
        """Nothing that this process could still tell."""
        return {}

    def find_ready_problems(self) -> Mapping[str, str]:
        """Listening is all there is to it; HTTP starts only after the transport."""
        return {}


async def run_node(settings: Settings) -> int:
    """Run the process that `settings` describe until a signal; return its exit code."""
    stop = _catch_signals()
    network = NetworkFile.parse(settings.network_file.read_bytes())
    chain = EpochChain(network.epochs)
    if settings.bootstrap:
        return await _run_bootstrap(settings, network, chain, stop)
    return await _run_member(settings, network, chain, stop)


async def _run_bootstrap(
    settings: Settings, network: NetworkFile, chain: EpochChain, stop: asyncio.Event
) -> int:
    registry = CollectorRegistry()
    transport = LibP2pTransport(
        _configure(settings, network, chain, {}),
        admit_message=lambda _author, _data: False,
        learned=lambda _book: None,
    )
    metrics = NodeMetrics(registry)
    metrics.watch_transport(transport.get_counters, lambda: len(transport.get_peers()))
    http = HttpServer(settings.http_addr, BootstrapHealth(), registry)
    await transport.start(lambda _author, _data: None)
    await http.start()
    log.info("listening", role="bootstrap", addresses=transport.get_addresses(), http=http.address)
    try:
        await _wait_for_end(stop, asyncio.create_task(transport.wait_failed()))
    finally:
        await _leave(transport.aclose, http.aclose)
    return 0


async def _run_member(
    settings: Settings, network: NetworkFile, chain: EpochChain, stop: asyncio.Event
) -> int:
    clock = SystemClock()
    now = clock.now()
    signer = LocalSigner(read_key(settings.signing_key_file))
    journal = SqliteJournal(
        settings.journal_file,
        address=signer.address,
        network_id=chain.network_id,
        now_ms=now.wall_ms,
    )
    machine = Machine(
        chain=chain,
        me=signer.address,
        boot_ms=now.wall_ms,
        version=__version__,
        remembered=journal.load(),
        now=now,
    )
    registry = CollectorRegistry()
    metrics = NodeMetrics(registry)
    source = HttpPriceSource(
        settings.sources,
        min_sources=settings.min_sources,
        max_age_s=settings.source_maxage,
        timeout_s=settings.source_timeout,
        clock=clock,
    )
    store = PostgresStore(settings.read_database_url, dice=random.random)
    store.set_epochs(chain.documents)
    loop = asyncio.get_running_loop()

    def admit(author: str, data: bytes) -> bool:
        """Pass on only what is an envelope; tell the machine of the rest, so that it can blame."""
        if is_well_formed(data):
            return True
        loop.call_soon_threadsafe(engine.deliver, author, data)
        return False

    def remember(book: dict[str, tuple[str, ...]]) -> None:
        try:
            journal.write_peers(book)
        except JournalError as error:
            log.warning("peer_book_not_kept", reason=str(error))

    transport = LibP2pTransport(
        _configure(settings, network, chain, journal.load_peers()),
        admit_message=admit,
        learned=remember,
    )
    engine = Engine(
        Turns(machine, journal, signer),
        transport=transport,
        source=source,
        store=store,
        clock=clock,
        observers=(metrics.observe, NoteLogger().observe),
    )
    health = NodeHealth(transport, machine, engine)
    http = HttpServer(settings.http_addr, health, registry)
    await transport.start(engine.deliver)
    await http.start()
    log.info(
        "listening",
        role="member" if signer.address in chain.newest.index_by_address else "listener",
        address=format_address(signer.address),
        addresses=transport.get_addresses(),
        http=http.address,
    )
    await store.start(*watch_store(engine))
    running = asyncio.create_task(engine.run())
    try:
        await _wait_for_end(stop, running, asyncio.create_task(transport.wait_failed()))
        log.info("leaving")
        await engine.close(DRAIN_S)
    finally:
        await _leave(transport.aclose, store.aclose, http.aclose, source.aclose)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        journal.close()
    return 0


def _configure(
    settings: Settings,
    network: NetworkFile,
    chain: EpochChain,
    known_peers: dict[str, tuple[str, ...]],
) -> LibP2pConfig:
    identity = read_key(settings.identity_key_file)
    own = compute_peer_id(identity)
    members = {member.peer_id for document in chain.documents for member in document.members}
    bootstrap = (*settings.bootstrap_addr, *network.peers.bootstrap)
    return LibP2pConfig(
        identity_secret=identity,
        listen=settings.connection_addr,
        announce=settings.announce_addr,
        bootstrap=tuple(
            address for address in dict.fromkeys(bootstrap) if not address.endswith(f"/{own}")
        ),
        network_id=chain.network_id,
        open_access=settings.access == "Open",
        allowed=frozenset({*members, *network.peers.admitted, *network.peers.listeners}),
        is_bootstrap=settings.bootstrap,
        known_peers=known_peers,
    )


def _catch_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _wait_for_end(stop: asyncio.Event, *parts: asyncio.Task[None]) -> None:
    """Return at a signal; raise what a part died of, because no part may die silently."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((stopped, *parts), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for part in done - {stopped}:
        part.result()


async def _leave(*closers: Callable[[], object]) -> None:
    """Close all parts at once; one that hangs or fails keeps nobody."""
    pending = [asyncio.ensure_future(closer()) for closer in closers]  # type: ignore[arg-type]
    done, late = await asyncio.wait(pending, timeout=LEAVE_S)
    for part in late:
        part.cancel()
    for part in done:
        if part.exception() is not None:
            log.warning("not_closed_cleanly", reason=str(part.exception()))
