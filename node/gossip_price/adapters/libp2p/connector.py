"""Keeps a node connected: dials bootstraps and members, again and again, with backoff.

libp2p's own connector took 65 s, remembers failures for 60 s, resolves names with a resolver
that knows no /etc/hosts, and never comes back with a watermark of 0. Who may be connected is
the membership's decision, where a peer is the book's.
"""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterable
from typing import Any, Final

import trio
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from gossip_price.adapters.libp2p.addresses import list_families, list_resolved, parse_bootstrap
from gossip_price.adapters.libp2p.book import PeerBook
from gossip_price.adapters.libp2p.config import LibP2pConfig
from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.adapters.libp2p.membership import Membership
from gossip_price.adapters.libp2p.muxer import cut
from gossip_price.network.multiaddrs import Address, parse_multiaddr

log = logging.getLogger(__name__)

#: Dials under way at once; a blackholed address holds its place for dial_timeout_s.
DIALS_MAX: Final = 8
#: A connection without a pubsub stream is given another try after this many ticks.
STREAMLESS_TICKS: Final = 5


async def resolve(address: Address) -> list[Address]:
    """Return the IP addresses behind a name, now; by the system's resolver."""
    if not address.is_name:
        return [address]
    answers = await trio.socket.getaddrinfo(
        address.host, address.port, family=list_families(address), type=socket.SOCK_STREAM
    )
    return list_resolved(address, ((family, str(where[0])) for family, *_, where in answers))


class Connector:
    """The redial loop of one host."""

    def __init__(
        self,
        config: LibP2pConfig,
        *,
        host: Any,
        gossip: Any,
        book: PeerBook,
        membership: Membership,
        counters: Counters,
    ) -> None:
        self._tuning = config.tuning
        # A bootstrap is dialed by everybody and needs to dial only other bootstraps.
        self._wanted = 0 if config.is_bootstrap else config.tuning.connections_wanted
        self._host = host
        self._swarm = host.get_network()
        self._gossip = gossip
        self._membership = membership
        self._counters = counters
        self._own = str(host.get_id())
        self._book = book
        self._bootstraps = PeerBook({})
        for text in config.bootstrap:
            peer, address = parse_bootstrap(text)
            known = self._bootstraps.get_addresses(peer)
            if peer != self._own:
                self._bootstraps.learn(peer, (*known, str(address)), now=0.0)
        self._dialing: set[str] = set()
        self._dialed: set[str] = set()
        self._streamless: dict[Any, int] = {}
        self.is_book_changed = False

    def list_connected(self) -> frozenset[str]:
        """Return the peer ids with a live connection."""
        return frozenset(
            str(peer)
            for peer, connections in self._swarm.connections.items()
            if any(not each.is_closed for each in connections)
        )

    async def run(self) -> None:
        """Look around every tick, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                self.cut_unadmitted(nursery)
                self._mend_streams()
                for peer, book in self._list_due():
                    self._dialing.add(peer)
                    nursery.start_soon(self._dial, peer, book)
                await trio.sleep(self._tuning.tick_s * random.uniform(0.8, 1.2))  # noqa: S311  # no secret

    def cut_unadmitted(self, nursery: trio.Nursery) -> None:
        """Cut the connections of those who are no longer admitted."""
        now = trio.current_time()
        for peer, connections in list(self._swarm.connections.items()):
            if not self._membership.is_admitted(str(peer), now):
                for connection in list(connections):
                    nursery.start_soon(cut, connection)

    def _list_due(self) -> list[tuple[str, PeerBook]]:
        now, connected = trio.current_time(), self.list_connected()
        places = DIALS_MAX - len(self._dialing)

        def is_wanted(peer: str) -> bool:
            taken = peer in connected or peer in self._dialing or peer == self._own
            return not taken and self._membership.is_admitted(peer, now)

        due = [(peer, self._bootstraps) for peer in self._bootstraps.list_due(now)]
        missing = self._wanted - len(connected) - len(self._dialing)
        others = [
            peer
            for peer in self._book.list_due(now)
            if is_wanted(peer) and not self._bootstraps.get_addresses(peer)
        ]
        others.sort(key=self._membership.is_member, reverse=True)
        due += [(peer, self._book) for peer in others[: max(0, missing)]]
        return [(peer, book) for peer, book in due if is_wanted(peer)][: max(0, places)]

    async def _dial(self, peer: str, book: PeerBook) -> None:
        self._counters.dials += 1
        self._counters.redials += peer in self._dialed
        self._dialed.add(peer)
        while len(self._dialed) > 1024:
            self._dialed.pop()
        try:
            answered = await self._try_addresses(peer, book.get_addresses(peer))
        finally:
            self._dialing.discard(peer)
        self._counters.dial_failures += answered is None
        bounds = self._tuning
        is_bootstrap = book is self._bootstraps
        changed = book.process_dialed(
            peer,
            answered,
            trio.current_time(),
            random.random(),  # noqa: S311  # spreads redials, no secret
            delay_max_s=bounds.bootstrap_backoff_max_s if is_bootstrap else bounds.backoff_max_s,
        )
        self.is_book_changed |= changed and not is_bootstrap

    async def _try_addresses(self, peer: str, addresses: Iterable[str]) -> str | None:
        for text in addresses:
            try:
                with trio.fail_after(self._tuning.dial_timeout_s):
                    for target in await resolve(parse_multiaddr(text)):
                        if await self._try_one(ID.from_string(peer), target):
                            return text
            except (trio.TooSlowError, OSError, ValueError) as error:
                log.debug("%s at %s: %r", peer, text, error)
        return None

    async def _try_one(self, peer: Any, target: Address) -> bool:
        try:
            # libp2p refuses for 60 s who did not answer, and dials one address of those it
            # has: let it have only this one.
            self._swarm.unblock_peer(peer)
            self._host.get_peerstore().clear_addrs(peer)
            await self._host.connect(PeerInfo(peer, [Multiaddr(str(target))]))
        except Exception as error:  # noqa: BLE001  # supervising edge: the network's troubles
            log.debug("%s at %s: %r", peer, target, error)
            return False
        return True

    def _mend_streams(self) -> None:
        """Open the pubsub stream that libp2p gave up on after a failed negotiation."""
        missing = [
            peer for peer in self._host.get_connected_peers() if peer not in self._gossip.peers
        ]
        self._streamless = {peer: self._streamless.get(peer, 0) + 1 for peer in missing}
        for peer, ticks in self._streamless.items():
            if ticks % STREAMLESS_TICKS == 0:
                self._gossip._schedule_peer_stream_retry(peer)
