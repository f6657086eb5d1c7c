"""One series for each other member of the epoch in force, read at a scrape.

The label is the member's address: the roster bounds it, and a stranger has none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family
from gossip_price.network.document import Document

_CONNECTED = Family(
    "gauge",
    "gossip_price_member_connected",
    "Have we a connection to this member (1) or not (0)?",
    ("member",),
)
_PING = Family(
    "gauge",
    "gossip_price_member_ping_seconds",
    "How long did this member take to answer our last ping?",
    ("member",),
)
MEMBER_FAMILIES: Final = (_CONNECTED, _PING)


class MembersCollector(Collector):
    """Shows the members of `get_document()` other than `peer_id`, which is ours."""

    def __init__(
        self,
        get_document: Callable[[], Document],
        peer_id: str,
        get_peers: Callable[[], Collection[str]],
        get_round_trips: Callable[[], Mapping[str, float]],
    ) -> None:
        self._get_document = get_document
        self._peer_id = peer_id
        self._get_peers = get_peers
        self._get_round_trips = get_round_trips

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        others = [
            member for member in self._get_document().members if member.peer_id != self._peer_id
        ]
        peers, round_trips = self._get_peers(), self._get_round_trips()
        yield _CONNECTED.show_all({(one.address,): one.peer_id in peers for one in others})
        yield _PING.show_all(
            {
                (one.address,): round_trips[one.peer_id]
                for one in others
                if one.peer_id in round_trips
            }
        )
