"""The p2p network's numbers, read at a scrape: what the adapter counts, and who is connected."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics.families import Family

_PEERS = Family("gauge", "gossip_price_peers", "How many peers are connected?")
_DELIVERED = Family(
    "counter",
    "gossip_price_messages_delivered_total",
    "How many gossip messages of others came in and were handed to the machine?",
)
_EVENTS = Family(
    "counter",
    "gossip_price_transport_events_total",
    "How often did each thing happen in the p2p network?",
    ("event",),
)
TRANSPORT_FAMILIES: Final = (_PEERS, _DELIVERED, _EVENTS)
#: Counted by families of their own; what is published, the machine tells.
_ELSEWHERE: Final = ("delivered", "published")


class TransportCollector(Collector):
    """Shows the p2p network's counters by name, and how many peers are connected."""

    def __init__(
        self,
        get_counters: Callable[[], Mapping[str, int]],
        get_peers: Callable[[], Collection[str]],
    ) -> None:
        self._get_counters = get_counters
        self._get_peers = get_peers

    def collect(self) -> Iterable[Metric]:
        """Return what is true now."""
        counters = dict(self._get_counters())
        yield _PEERS.show(len(self._get_peers()))
        yield _DELIVERED.show(counters.get("delivered", 0))
        yield _EVENTS.show_all(
            {(event,): count for event, count in counters.items() if event not in _ELSEWHERE}
        )
