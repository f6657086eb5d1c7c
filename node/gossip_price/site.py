"""What a process shows over HTTP, put together: the second half of the composition root.

Knows which parts stand behind which routes. Decides nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute

from gossip_price.adapters.archive import Archive, FoundPrice, RecentPrices
from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.http import (
    NetworkFacts,
    NetworkPage,
    make_absent_routes,
    make_docs_routes,
    make_event_routes,
    make_network_routes,
    make_page_routes,
    make_price_routes,
    make_round_routes,
    make_status_routes,
)
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.libp2p import LibP2pTransport
from gossip_price.adapters.live import EventRing, LiveBoard, PresenceWatch
from gossip_price.adapters.postgres.history import PostgresHistory
from gossip_price.adapters.status import Self, StatusBoard
from gossip_price.core.events import Recollection
from gossip_price.core.machine import Machine
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import parse_address
from gossip_price.ports import Observer

_CLOCK: Final = SystemClock()


@dataclass(frozen=True)
class Surroundings:
    """What every process can tell: who it is, its epochs, its peers and its problems."""

    me: Self
    get_chain: Callable[[], EpochChain]
    transport: LibP2pTransport
    find_problems: Callable[[], Mapping[str, str]]


class NodeSite:
    """Everything that a member or a listener shows; `run` beside the engine, `aclose` at the end.

    `database_url` is what gives the store its URL, too. `remembered` is what the journal held.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        machine: Machine,
        journal: SqliteJournal,
        remembered: Recollection,
        database_url: Callable[[], str],
        is_simulated: bool,
    ) -> None:
        get_chain, find_settled = around.get_chain, machine.find_settled
        self._events = EventRing(_read_wall_ms())
        self._history = PostgresHistory(database_url)
        recent = RecentPrices(
            journal,
            remembered,
            get_chain=get_chain,
            find_settled=find_settled,
            wall_ms=_read_wall_ms,
        )
        live = LiveBoard(
            machine.me,
            self._events,
            get_chain=get_chain,
            find_settled=find_settled,
            wall_ms=_read_wall_ms,
        )
        self._watch = PresenceWatch(
            live,
            count_changes=lambda: machine.presence_changes,
            list_seen=machine.list_seen,
        )
        # One read of the journal a pair: what it holds as settled was settled in an earlier life.
        newest = [recent.find_newest(terms.pair) for terms in get_chain().newest.pairs]
        status = _make_status(around, [price for price in newest if price is not None])

        def gather() -> NetworkFacts:
            return _gather(around, machine, is_simulated=is_simulated)

        self.observers: tuple[Observer, ...] = (status.observe, recent.observe, live.observe)
        self.routes: tuple[BaseRoute, ...] = (
            *make_status_routes(status.tell),
            *make_price_routes(Archive(recent, self._history, get_chain=get_chain)),
            *make_round_routes(live),
            *make_event_routes(self._events),
            *make_network_routes(NetworkPage(gather)),
            *make_docs_routes(),
            *make_page_routes(),
        )

    async def run(self) -> None:
        """Look after what no note tells of, until cancelled."""
        await self._watch.run()

    async def aclose(self) -> None:
        """Let listeners go and the database too."""
        self._events.close()
        await self._history.aclose()


def make_bootstrap_routes(around: Surroundings) -> tuple[BaseRoute, ...]:
    """Return what a bootstrap shows: itself and the network, of which it hears no prices."""
    return (
        *make_status_routes(_make_status(around).tell),
        *make_network_routes(NetworkPage(lambda: _gather(around, None, is_simulated=None))),
        *make_absent_routes(),
        *make_docs_routes(),
        *make_page_routes(),
    )


def _make_status(around: Surroundings, settled: Iterable[FoundPrice] = ()) -> StatusBoard:
    return StatusBoard(
        around.me,
        get_chain=around.get_chain,
        get_peers=around.transport.get_peers,
        find_problems=around.find_problems,
        wall_s=lambda: _read_wall_ms() // 1000,
        settled=settled,
    )


def _gather(
    around: Surroundings, machine: Machine | None, *, is_simulated: bool | None
) -> NetworkFacts:
    now, address = _CLOCK.now(), around.me.address
    return NetworkFacts(
        now=now,
        document=around.get_chain().get_current(now.wall_ms // 1000),
        me=None if address is None else parse_address(address),
        is_bootstrap=around.me.is_bootstrap,
        is_simulated=is_simulated,
        presences=() if machine is None else machine.describe_presence(now),
        connections=around.transport.get_connections(),
        problems=around.find_problems(),
    )


def _read_wall_ms() -> int:
    return _CLOCK.now().wall_ms
