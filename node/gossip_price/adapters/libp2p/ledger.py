"""Since when each connection is there, who dialed, and how long its last ping took.

On the trio thread. A peer that came back has a dead connection beside its live one: of several the
oldest that is not closed stands for the peer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from gossip_price.ports import Connection


@dataclass(slots=True)
class _Page:
    since_ms: int
    ping_ms: float | None = None


class Ledger:
    """The connections of one swarm."""

    def __init__(self, swarm: Any) -> None:
        self._swarm = swarm
        self._pages: WeakKeyDictionary[Any, _Page] = WeakKeyDictionary()

    def process_ping(self, connection: Any, ping_s: float) -> None:
        """A pong came after so long."""
        self._open_page(connection).ping_ms = ping_s * 1_000

    def list_connections(self) -> tuple[Connection, ...]:
        """Return one connection for each peer, as they are now."""
        found = []
        for peer, connections in self._swarm.connections.items():
            live = [each for each in connections if not each.is_closed]
            if not live:
                continue
            page, oldest = min(
                ((self._open_page(each), each) for each in live), key=lambda both: both[0].since_ms
            )
            is_inbound = not oldest.muxed_conn.is_initiator
            found.append(Connection(str(peer), is_inbound, page.since_ms, page.ping_ms))
        return tuple(found)

    def _open_page(self, connection: Any) -> _Page:
        page = self._pages.get(connection)
        if page is None:
            page = self._pages[connection] = _Page(time.time_ns() // 1_000_000)
        return page
