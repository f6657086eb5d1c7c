"""The composition root: the only place where real parts meet. One process, one node.

Knows which adapter stands behind which port, and in which order they start and end; decides
nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute

from gossip_price import __version__
from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.health import BootstrapHealth, NodeHealth
from gossip_price.adapters.http import Health, HttpServer
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.keyfiles import read_key
from gossip_price.adapters.libp2p import LibP2pConfig, LibP2pTransport
from gossip_price.adapters.logs import NoteLogger
from gossip_price.adapters.metrics import (
    BacklogCollector,
    HealthCollector,
    JournalCollector,
    MembersCollector,
    NodeMetrics,
    SourceCollector,
    TermsCollector,
    TransportCollector,
    make_registry,
)
from gossip_price.adapters.network_file import NetworkWatch, read_network
from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.adapters.signer import LocalSigner
from gossip_price.adapters.sources import HttpPriceSource
from gossip_price.adapters.status import Self
from gossip_price.core.events import NetworkChanged
from gossip_price.core.machine import Machine
from gossip_price.core.wire import is_well_formed
from gossip_price.engine import Engine, Turns, watch_store
from gossip_price.network.admission import find_roles, get_admitted
from gossip_price.network.document import Document, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import compute_peer_id, format_address
from gossip_price.network.problems import Problem
from gossip_price.network.spec_parts import Access
from gossip_price.ports import JournalError, StoreUnavailableError
from gossip_price.settings import Settings, SettingsError, check_against
from gossip_price.site import NodeSite, Surroundings, make_bootstrap_routes

log = structlog.get_logger(__name__)

#: Of the three seconds that `up` gives a node (Kubernetes gives more): draining the machine, then
#: closing everything at once.
DRAIN_S: Final = 1.0
LEAVE_S: Final = 1.8


async def run_node(settings: Settings) -> int:
    """Run the process that `settings` describe until SIGTERM or SIGINT; return its exit code.

    Raises SettingsError, DocumentError, KeyFileError, JournalError or OSError for what keeps it
    from starting, and whatever a part died of.
    """
    stop = _catch_signals()
    network = read_network(settings.network_file)
    chain = EpochChain(network.epochs)
    check_against(settings, chain, SystemClock().now().wall_ms // 1000)
    if settings.bootstrap:
        await _run_bootstrap(settings, network, chain, stop)
    else:
        await _run_peer(settings, network, chain, stop)
    return 0


async def _run_bootstrap(
    settings: Settings, network: NetworkFile, chain: EpochChain, stop: asyncio.Event
) -> None:
    """Introduce newcomers; see no prices and sign none."""
    identity = read_key(settings.identity_key_file)
    transport = LibP2pTransport(
        _configure(settings, network, chain, identity, {}),
        admit_message=lambda _author, _data: False,
        learned=lambda _book: None,
    )
    registry = make_registry()
    _register(registry, TransportCollector(transport.get_counters, transport.get_peers))
    watch = NetworkWatch(
        settings.network_file,
        network,
        chain,
        clock=SystemClock(),
        take=lambda _chain: None,
        admit=transport.admit,
    )
    health = BootstrapHealth()
    around = Surroundings(
        Self(True, compute_peer_id(identity), None, __version__),
        get_chain=lambda: watch.chain,
        transport=transport,
        find_problems=health.find_ready_problems,
    )
    http = _make_http(settings, health, registry, make_bootstrap_routes(around))
    await transport.start(lambda _author, _data: None)
    watching = asyncio.create_task(watch.run())
    try:
        await http.start()
        _log_listening("bootstrap", transport, http)
        await _wait_for_end(stop, watching, transport.wait_failed())
        log.info("leaving")
    finally:
        watching.cancel()
        await _leave(transport.aclose(), http.aclose())


async def _run_peer(
    settings: Settings, network: NetworkFile, chain: EpochChain, stop: asyncio.Event
) -> None:
    """Run a member, or a listener that has no entry: whatever its keys are in each epoch."""
    identity = read_key(settings.identity_key_file)
    peer_id = compute_peer_id(identity)
    # A listener without a signing key still names its journal; it is on no roster and never signs.
    signer = LocalSigner(read_key(settings.signing_key_file or settings.identity_key_file))
    address = signer.address if settings.signing_key_file is not None else None
    now = (clock := SystemClock()).now()
    role = find_roles(chain, address, peer_id, now.wall_ms // 1000)[0]
    journal = SqliteJournal(
        _require(settings.journal_file, "GP_JOURNAL_FILE"),
        address=signer.address,
        network_id=chain.network_id,
        now_ms=now.wall_ms,
    )
    remembered = journal.load()
    machine = Machine(
        chain=chain,
        me=signer.address,
        boot_ms=now.wall_ms,
        version=__version__,
        remembered=remembered,
        now=now,
    )
    source = _make_source(settings)
    store = PostgresStore(_make_database_url(settings), dice=random.random)
    store.set_epochs(chain.documents)
    loop = asyncio.get_running_loop()

    def admit(author: str, data: bytes) -> bool:
        """Pass on only what is an envelope; tell the machine of the rest, so that it can blame."""
        if is_well_formed(data):
            return True
        loop.call_soon_threadsafe(engine.deliver, author, data)
        return False

    transport = LibP2pTransport(
        _configure(settings, network, chain, identity, journal.load_peers()),
        admit_message=admit,
        learned=_make_learner(journal),
    )
    registry, metrics = _make_metrics(chain.list_live(now.wall_ms // 1000), signer, source)
    notes = NoteLogger()

    def take(changed: EpochChain) -> None:
        find_roles(changed, address, peer_id, clock.now().wall_ms // 1000)
        _hand_on(changed, store, metrics, engine)

    watch = NetworkWatch(
        settings.network_file, network, chain, clock=clock, take=take, admit=transport.admit
    )
    site = NodeSite(
        Surroundings(
            Self(False, peer_id, None if address is None else format_address(address), __version__),
            get_chain=lambda: watch.chain,
            transport=transport,
            find_problems=lambda: health.find_ready_problems(),  # noqa: PLW0108 - it is made later
        ),
        machine=machine,
        journal=journal,
        remembered=remembered,
        database_url=_make_database_url(settings),
        is_simulated=source.simulated,
    )
    engine = Engine(
        Turns(machine, journal, signer),
        transport=transport,
        source=source,
        store=store,
        clock=clock,
        observers=(metrics.observe, notes.observe, *site.observers),
    )
    health = NodeHealth(transport, machine, engine)
    http = _make_http(settings, health, registry, site.routes)

    _register(
        registry,
        SourceCollector(source.get_counters),
        TransportCollector(transport.get_counters, transport.get_peers),
        TermsCollector(lambda: watch.chain, signer.address, lambda: clock.now().wall_ms // 1000),
        BacklogCollector(lambda: machine.describe_backlog(clock.now()), watch.get_in_force),
        JournalCollector(_require(settings.journal_file, "GP_JOURNAL_FILE")),
        MembersCollector(
            clock.now,
            watch.get_in_force,
            machine.describe_presence,
            transport.get_connections,
        ),
        HealthCollector(health.find_ready_problems, lambda: engine.dropped),
    )
    await transport.start(engine.deliver, engine.respond)
    running = asyncio.create_task(engine.run())
    watching = asyncio.create_task(watch.run())
    showing = asyncio.create_task(site.run())
    try:
        await http.start()
        _log_listening(role.value, transport, http, address=format_address(signer.address))
        if source.simulated:
            log.warning("simulated_prices", detail="these are no market prices")
        await store.start(*watch_store(engine))
        await _wait_for_end(stop, running, watching, showing, transport.wait_failed())
        log.info("leaving", unstored=machine.unstored)
        await engine.close(DRAIN_S)
    finally:
        for task in (running, watching, showing):
            task.cancel()
        parts = (transport, store, site, http, source)
        await _leave(*(part.aclose() for part in parts))
        notes.flush()
        journal.close()


def _make_source(settings: Settings) -> HttpPriceSource:
    return HttpPriceSource(
        settings.sources,
        min_sources=settings.min_sources,
        max_age_s=settings.source_max_age_s,
        timeout_s=settings.source_timeout_s,
        clock=SystemClock(),
    )


def _make_http(
    settings: Settings,
    health: Health,
    registry: CollectorRegistry,
    routes: Sequence[BaseRoute],
) -> HttpServer:
    address, origins = str(settings.http_addr), settings.cors_origins
    return HttpServer(address, health, registry, routes, cors_origins=origins)


def _make_learner(journal: SqliteJournal) -> Callable[[dict[str, tuple[str, ...]]], None]:
    def remember(book: dict[str, tuple[str, ...]]) -> None:
        try:
            journal.write_peers(book)
        except JournalError as error:
            log.warning("peer_book_not_kept", reason=str(error))

    return remember


def _hand_on(chain: EpochChain, store: PostgresStore, metrics: NodeMetrics, engine: Engine) -> None:
    """Tell every part of new epochs; the database first: an epoch stands there before its rows."""
    store.set_epochs(chain.documents)
    metrics.add_epoch(chain.newest)
    engine.offer(NetworkChanged(chain))


def _make_metrics(
    documents: Sequence[Document], signer: LocalSigner, source: HttpPriceSource
) -> tuple[CollectorRegistry, NodeMetrics]:
    registry = make_registry()
    metrics = NodeMetrics(registry, documents, me=signer.address, is_simulated=source.simulated)
    return registry, metrics


def _register(registry: CollectorRegistry, *collectors: Collector) -> None:
    for collector in collectors:
        registry.register(collector)


def _configure(
    settings: Settings,
    network: NetworkFile,
    chain: EpochChain,
    identity: bytes,
    known_peers: dict[str, tuple[str, ...]],
) -> LibP2pConfig:
    own = compute_peer_id(identity)
    bootstrap = dict.fromkeys((*settings.bootstrap_addr, *network.peers.bootstrap))
    return LibP2pConfig(
        identity_secret=identity,
        listen=(settings.connection_addr,),
        announce=settings.announce_addr,
        bootstrap=tuple(address for address in bootstrap if not address.endswith(f"/{own}")),
        network_id=chain.network_id,
        open_access=settings.access is Access.OPEN,
        allowed=get_admitted(chain, network.peers, SystemClock().now().wall_ms // 1000),
        is_bootstrap=settings.bootstrap,
        known_peers=known_peers,
    )


def _make_database_url(settings: Settings) -> Callable[[], str]:
    """Return what gives the store its URL, read anew at every attempt to connect."""

    def read() -> str:
        try:
            url = settings.read_database_url()
        except SettingsError as error:
            raise StoreUnavailableError(str(error)) from error
        if url is None:
            raise StoreUnavailableError(
                "GP_DATABASEURL is not set: this node signs and keeps, others store"
            )
        return url

    return read


def _require(path: Path | None, name: str) -> Path:
    if path is None:
        raise SettingsError([Problem(name, None, "a path; required unless GP_BOOTSTRAP")])
    return path


def _log_listening(
    role: str, transport: LibP2pTransport, http: HttpServer, **fields: object
) -> None:
    log.info(
        "listening", role=role, addresses=transport.get_addresses(), http=http.address, **fields
    )


def _catch_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _wait_for_end(stop: asyncio.Event, *parts: Awaitable[None]) -> None:
    """Return at a signal; raise what a part died of, because no part may die silently."""
    stopped = asyncio.ensure_future(stop.wait())
    watched = [asyncio.ensure_future(part) for part in parts]
    done, _ = await asyncio.wait((stopped, *watched), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for part in done - {stopped}:
        part.result()


async def _leave(*closers: Coroutine[Any, Any, None]) -> None:
    """Close all parts at once; one that hangs or fails keeps nobody."""
    pending = [asyncio.create_task(closer) for closer in closers]
    done, late = await asyncio.wait(pending, timeout=LEAVE_S)
    for part in late:
        part.cancel()
    for part in done:
        if part.exception() is not None:
            log.warning("not_closed_cleanly", reason=str(part.exception()))
