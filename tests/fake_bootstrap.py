"""A bootstrap's HTTP without its libp2p: the routes and answers are the real ones.

Its connections are what a test says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from prometheus_client import CollectorRegistry

from gossip_price.adapters.http import (
    HttpServer,
    NetworkFacts,
    NetworkPage,
    make_absent_routes,
    make_docs_routes,
    make_network_routes,
    make_page_routes,
    make_status_routes,
)
from gossip_price.adapters.status import Self as Me
from gossip_price.adapters.status import StatusBoard
from gossip_price.core.types import Now
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import Connection
from networks import START, make_network


class FakeBootstrap:
    """A bootstrap of four members, of which one is not connected."""

    def __init__(self) -> None:
        self.document = make_network(4).document
        self.connections = [
            Connection(member.peer_id, True, START * 1000, 2.4)
            for member in self.document.members[:3]
        ]
        status = StatusBoard(
            Me(True, "16Uiu2", None, "0.1.0"),
            get_chain=lambda: EpochChain([self.document]),
            get_peers=lambda: [one.peer for one in self.connections],
            find_problems=dict,
            wall_s=lambda: START + 60,
        )
        routes = (
            *make_status_routes(status.tell),
            *make_network_routes(NetworkPage(self._gather)),
            *make_absent_routes(),
            *make_docs_routes(),
            *make_page_routes(),
        )
        self._server = HttpServer("127.0.0.1:0", self, CollectorRegistry(), routes)

    async def start(self) -> Self:
        """Serve."""
        await self._server.start()
        return self

    async def stop(self) -> None:
        """Go away."""
        await self._server.aclose()

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"{self._server.url}/"

    def find_live_problems(self) -> Mapping[str, str]:
        """It makes progress."""
        return {}

    def find_ready_problems(self) -> Mapping[str, str]:
        """It is ready."""
        return {}

    def _gather(self) -> NetworkFacts:
        return NetworkFacts(
            now=Now(1000 * (START + 60), 60_000),
            document=self.document,
            me=None,
            is_bootstrap=True,
            is_simulated=None,
            connections=self.connections,
        )
