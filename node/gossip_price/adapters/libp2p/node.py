"""The trio side: one host with its gossip, DHT and loops, from listening to saying goodbye.

Runs in the transport's thread. Tells the other side through `Owner`, whose callbacks must be
quick, thread-safe and must not raise. Knows nothing of asyncio.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import trio
from libp2p.abc import INotifee
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from gossip_price.adapters.libp2p.addresses import (
    check_free,
    compute_announced,
    parse_bootstrap,
)
from gossip_price.adapters.libp2p.announcement import (
    encode_announcement,
    name_announce_topic,
    name_message_topic,
    parse_announcement,
)
from gossip_price.adapters.libp2p.book import PeerBook
from gossip_price.adapters.libp2p.config import LibP2pConfig
from gossip_price.adapters.libp2p.connector import Connector
from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.adapters.libp2p.dht import Dht
from gossip_price.adapters.libp2p.exchange import Exchange
from gossip_price.adapters.libp2p.gossip import Gossip, Router, Topic
from gossip_price.adapters.libp2p.ledger import Ledger
from gossip_price.adapters.libp2p.membership import Membership
from gossip_price.adapters.libp2p.muxer import cut
from gossip_price.adapters.libp2p.prober import run_prober
from gossip_price.adapters.libp2p.swarm import build_host
from gossip_price.network.multiaddrs import Address, parse_multiaddr
from gossip_price.ports import Connection

log = logging.getLogger(__name__)

#: Parts of the 2 s in which `aclose` must be done.
FLUSH_S: Final = 0.5
GOODBYE_S: Final = 0.6
#: More connections of one peer than both sides' dials and their ghosts explain.
CONNECTIONS_PER_PEER_MAX: Final = 4
#: Of two that learn of each other, the one with the higher id lets the other dial first.
COURTESY_S: Final = 2.0


@dataclass(frozen=True)
class Owner:
    """Where the node reports to; called on the trio thread."""

    admit: Callable[[str, bytes], bool]
    deliver: Callable[[str, bytes], None]
    ready: Callable[[list[str]], None]
    learned: Callable[[dict[str, tuple[str, ...]]], None]
    #: None where nobody may ask anything.
    respond: Callable[[str, bytes], Awaitable[bytes]] | None


class _Notifee(INotifee):  # type: ignore[misc]  # libp2p is untyped to us
    """Tells of connections that come and go."""

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed

    async def connected(self, *_: Any) -> None:
        self._changed(True)

    async def disconnected(self, *_: Any) -> None:
        self._changed(False)

    async def opened_stream(self, *_: Any) -> None: ...

    async def closed_stream(self, *_: Any) -> None: ...

    async def listen(self, *_: Any) -> None: ...

    async def listen_close(self, *_: Any) -> None: ...


class Node:
    """One libp2p node. `run` is its life; the other methods are called on its thread."""

    def __init__(
        self, config: LibP2pConfig, membership: Membership, counters: Counters, owner: Owner
    ) -> None:
        self._config = config
        self._tuning = config.tuning
        self._membership = membership
        self._counters = counters
        self._owner = owner
        self._listen = [parse_multiaddr(text) for text in config.listen]
        self._announce = [parse_multiaddr(text) for text in config.announce]
        for text in config.bootstrap:
            parse_bootstrap(text)
        self._announced: list[Address] = []
        self._book = PeerBook(config.known_peers)
        self._stopping = trio.Event()
        self._newcomer = trio.Event()
        self._host = build_host(config, self._may_connect, self._list_announced)
        self._router = Router(config.tuning.connections_max)
        self._message_topic = name_message_topic(config.network_id)
        self._announce_topic = name_announce_topic(config.network_id)
        topics = {self._announce_topic: Topic(self._admit_announcement, self._learn)}
        if not config.is_bootstrap:
            topics[self._message_topic] = Topic(self._admit_message, self._deliver)
        self._topics = topics
        self._gossip = Gossip(self._host, self._router, topics, counters, self._offended)
        self._exchange = Exchange(
            self._host,
            config.network_id,
            counters=counters,
            may_ask=self._may_ask,
            offended=self.penalize,
        )
        if owner.respond is not None:
            self._exchange.serve(owner.respond)
        self._dht = Dht(self._host, config.network_id)
        self._connector = Connector(
            config,
            host=self._host,
            gossip=self._gossip,
            book=self._book,
            membership=membership,
            counters=counters,
        )
        self._ledger = Ledger(self._host.get_network())
        self._nursery: trio.Nursery | None = None
        #: Live connections and their peer ids; replaced, never changed: read on another thread.
        self.peers: frozenset[str] = frozenset()
        self.connections: tuple[Connection, ...] = ()

    async def run(self) -> None:
        """Listen, join, work until `stop`, say goodbye. Raises OSError if it cannot listen."""
        self._host.get_network().register_notifee(_Notifee(self._note_connections))
        for address in self._listen:
            check_free(address)
        try:
            async with AsyncExitStack() as stack:
                addresses = [Multiaddr(str(address)) for address in self._listen]
                await stack.enter_async_context(self._host.run(listen_addrs=addresses))
                listening = self._check_listening()
                self._announced = compute_announced(listening, self._announce)
                for service in (self._gossip, self._router, self._dht):
                    await stack.enter_async_context(background_trio_service(service))
                await self._gossip.wait_until_ready()
                for topic in self._topics:
                    await self._gossip.subscribe(topic)
                nursery = self._nursery = await stack.enter_async_context(trio.open_nursery())
                nursery.start_soon(self._connector.run)
                nursery.start_soon(
                    run_prober, self._host, self._tuning, self._counters, self._note_ping
                )
                nursery.start_soon(self._run_announcer)
                nursery.start_soon(self._run_discovery)
                nursery.start_soon(self._run_bookkeeping)
                own = self._host.get_id()
                self._owner.ready([f"{address}/p2p/{own}" for address in listening])
                await self._stopping.wait()
                self._nursery = None
                await self._leave()
                nursery.cancel_scope.cancel()
        finally:
            self._gossip.seen_messages.stop()  # a thread of its own

    def stop(self) -> None:
        """Begin to leave."""
        self._stopping.set()

    async def publish(self, data: bytes) -> None:
        """Sign and queue a message for every peer that subscribed."""
        await self._gossip.publish(self._message_topic, data)
        self._counters.published += 1

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        """Ask one peer. Raises RequestError, at the deadline at the latest."""
        return await self._exchange.request(peer, data, deadline_s)

    def cut_unadmitted(self) -> None:
        """Cut those who are no longer admitted, now rather than at the next tick."""
        if self._nursery is not None:
            self._connector.cut_unadmitted(self._nursery)

    def penalize(self, peer: str, reason: str) -> None:
        """Refuse a peer for a while, and cut it."""
        now = trio.current_time()
        self._counters.bans += 1
        told = {"peer": peer, "reason": reason, "for_s": self._tuning.ban_s}
        log.warning("peer_refused", extra=told)
        self._membership.process_ban(peer, now + self._tuning.ban_s, now)
        self.cut_unadmitted()

    # The border.

    def _may_connect(self, peer: str) -> bool:
        swarm = self._host.get_network()
        mine = sum(str(each) == peer for each in swarm.connections for _ in swarm.connections[each])
        admitted = (
            self._membership.is_admitted(peer, trio.current_time())
            and mine < CONNECTIONS_PER_PEER_MAX
            and (self._membership.is_member(peer) or self._has_room_for_strangers())
        )
        self._counters.refused_peers += not admitted
        return admitted

    def _may_ask(self, peer: str) -> bool:
        """Tell whether a peer's questions are answered: members', in an open network too."""
        return self._membership.is_member(peer) and self._membership.is_admitted(
            peer, trio.current_time()
        )

    def _has_room_for_strangers(self) -> bool:
        connections = self._host.get_network().get_connections()
        strangers = sum(
            not self._membership.is_member(str(each.muxed_conn.peer_id)) for each in connections
        )
        return strangers < self._tuning.strangers_max

    def _admit_message(self, author: str, data: bytes) -> bool:
        admitted = self._membership.is_admitted(author, trio.current_time()) and self._owner.admit(
            author, data
        )
        self._counters.rejected += not admitted
        return admitted

    def _admit_announcement(self, author: str, data: bytes) -> bool:
        admitted = (
            self._membership.is_admitted(author, trio.current_time())
            and parse_announcement(data) is not None
        )
        self._counters.rejected += not admitted
        return admitted

    def _offended(self, peer: str) -> None:
        self.penalize(peer, "it sent bytes that are no pubsub frame")

    # What arrives.

    def _deliver(self, author: str, data: bytes) -> None:
        self._owner.deliver(author, data)

    def _learn(self, author: str, data: bytes) -> None:
        self._counters.announcements += 1
        wait_s = COURTESY_S if author < str(self._host.get_id()) else 0.0
        changed = self._book.learn(
            author, parse_announcement(data) or (), trio.current_time(), wait_s=wait_s
        )
        self._connector.is_book_changed |= changed

    def _note_ping(self, connection: Any, ping_s: float) -> None:
        self._ledger.process_ping(connection, ping_s)
        self.connections = self._ledger.list_connections()

    def _note_connections(self, is_new: bool) -> None:
        self.connections = self._ledger.list_connections()
        self.peers = frozenset(connection.peer for connection in self.connections)
        if is_new:
            self._newcomer.set()

    # The loops.

    async def _run_announcer(self) -> None:
        """Say where we are: when somebody came, and now and then."""
        while True:
            if self._announced and self.peers:
                await self._gossip.publish(
                    self._announce_topic, encode_announcement(self._announced)
                )
            await trio.sleep(self._tuning.announce_soon_s * random.uniform(0.5, 1))  # noqa: S311  # no secret
            with trio.move_on_after(self._tuning.announce_interval_s):
                await self._newcomer.wait()
            self._newcomer = trio.Event()
            # The newcomer's subscription travels beside its connection: let it arrive.
            await trio.sleep(self._tuning.announce_soon_s / 4)
            self._announced = compute_announced(self._check_listening(), self._announce)

    async def _run_discovery(self) -> None:
        """Ask the DHT who is near; often while connections are wanting."""
        while True:
            connected = self._host.get_connected_peers()
            if connected:
                found = await self._dht.find_neighbours(connected)
                for peer, addresses in found.items():
                    if self._membership.is_admitted(peer, trio.current_time()):
                        self._book.hint(peer, addresses)
            few = len(self.peers) < self._tuning.connections_wanted
            await trio.sleep(self._tuning.lookup_interval_s * (1 if few else 10))

    async def _run_bookkeeping(self) -> None:
        """Hand the peer book over when it changed, and see connections that ended unheard."""
        while True:
            await trio.sleep(self._tuning.learned_interval_s)
            self._note_connections(False)
            if self._connector.is_book_changed:
                self._connector.is_book_changed = False
                self._owner.learned(self._book.snapshot())

    # Coming and going.

    def _check_listening(self) -> list[Address]:
        """Return what we listen on; OSError for what libp2p failed at, which it only logs."""
        listening = [parse_multiaddr(str(each)) for each in self._host.get_transport_addrs()]
        for wanted in self._listen:
            if not any(
                wanted.kind == each.kind
                and wanted.host == each.host
                and wanted.port in (0, each.port)
                for each in listening
            ):
                raise OSError(f"cannot listen on {wanted}: libp2p could not bind it")
        return listening

    def _list_announced(self, _candidates: list[Any]) -> list[Any]:
        return [Multiaddr(str(address)) for address in self._announced]

    async def _leave(self) -> None:
        with trio.move_on_after(FLUSH_S):
            while not self._gossip.is_flushed:  # noqa: ASYNC110  # libp2p's queues tell nobody
                await trio.sleep(0.01)
        swarm = self._host.get_network()
        with trio.move_on_after(GOODBYE_S):
            # One after the other, as libp2p does it, takes 0.2 s each.
            async with trio.open_nursery() as nursery:
                for connection in swarm.get_connections():
                    nursery.start_soon(connection.close)
        with trio.move_on_after(GOODBYE_S / 2):
            async with trio.open_nursery() as nursery:
                for connection in swarm.get_connections():
                    nursery.start_soon(cut, connection)
