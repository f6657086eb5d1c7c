"""Kademlia under our own protocol name, for one purpose: newcomers find others by it.

libp2p 0.8.1 takes a protocol prefix and ignores it: every network would speak
`/ipfs/kad/1.0.0`, and ours would answer the public one. So the DHT is given a view of the
host in which its protocol has our name. Values and providers, which anybody could fill
memory with, are not kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import trio
from libp2p.kad_dht.common import PROTOCOL_ID
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.peerstore import PeerStoreError

log = logging.getLogger(__name__)

LOOKUP_S: Final = 15.0


def name_protocol(network_id: bytes) -> str:
    """Return the DHT's protocol of a network."""
    return f"/gossip-price/{network_id.hex()[:16]}/kad/1.0.0"


class _View:
    """An object seen through: what is not changed here is the object's own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _PeerStoreView(_View):
    def __init__(self, store: Any, protocol: str) -> None:
        super().__init__(store)
        self._protocol = protocol

    def get_protocols(self, peer: Any) -> list[str]:
        """Let a peer that serves our DHT look like one that serves the public one."""
        protocols: list[str] = self._inner.get_protocols(peer)
        return [PROTOCOL_ID if each == self._protocol else each for each in protocols]


class _HostView(_View):
    def __init__(self, host: Any, protocol: str) -> None:
        super().__init__(host)
        self._protocol = protocol
        self._store = _PeerStoreView(host.get_peerstore(), protocol)

    def get_peerstore(self) -> Any:
        return self._store

    def set_stream_handler(self, _protocol: str, handler: Any) -> None:
        self._inner.set_stream_handler(self._protocol, handler)

    async def new_stream(self, peer: Any, _protocols: Sequence[str]) -> Any:
        return await self._inner.new_stream(peer, [self._protocol])


class Dht(KadDHT):  # type: ignore[misc]  # libp2p is untyped to us
    """The routing table, and lookups in it."""

    def __init__(self, host: Any, network_id: bytes) -> None:
        super().__init__(_HostView(host, name_protocol(network_id)), DHTMode.SERVER)
        self.value_store.put_record = _refuse
        self.provider_store.add_provider = _refuse

    async def find_neighbours(self, connected: Sequence[Any]) -> dict[str, tuple[str, ...]]:
        """Ask the network for the peers closest to us; where each is said to be.

        What comes back is hearsay: a handshake decides who is there.
        """
        found: list[Any] = []
        with trio.move_on_after(LOOKUP_S):
            for peer in connected:
                await self.add_peer(peer)
            found = await self.peer_routing.find_closest_peers_network(
                self.local_peer_id.to_bytes()
            )
        addresses: dict[str, tuple[str, ...]] = {}
        for peer in found:
            try:
                known = self.host.get_peerstore().addrs(peer)
            except PeerStoreError:
                continue
            if peer != self.local_peer_id:
                addresses[str(peer)] = tuple(str(each) for each in known)
        return addresses


def _refuse(key: bytes, *_: Any) -> None:
    log.debug("nothing is stored in this DHT, %s neither", key.hex())
