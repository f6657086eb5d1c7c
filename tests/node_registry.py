"""A node's whole registry, filled as `app` fills it, with all that can happen having happened."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from gossip_price.adapters.libp2p.counters import Counters
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
from gossip_price.core.backlog import Backlog
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.types import Now
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import Connection
from networks import PAIR, START, make_network

NETWORK: Final = make_network(4)
NOW: Final = Now(START * 1_000, 5_000)
BACKLOG: Final = Backlog(2, 1_500, 3, 61_000, {PAIR: START})


def make_full_registry(journal: Path) -> CollectorRegistry:
    """Return a registry in which every metric of a node has at least one sample."""
    document = NETWORK.document
    me, other = document.addresses[:2]
    peers = [member.peer_id for member in document.members]
    registry = make_registry()
    metrics = NodeMetrics(registry, [document], me=me, wall_s=lambda: float(START))
    for kind in NoteKind:
        metrics.observe(
            Note(
                kind,
                pair=PAIR,
                round=START,
                member=other,
                proposer=other,
                price=100,
                decimals=2,
                count=1,
                needed=3,
                ms=500,
                reason="why",
            )
        )
    for collector in (
        SourceCollector(lambda: {("coinbase", "ok"): 3}),
        TransportCollector(Counters(delivered=7, dials=5).snapshot, lambda: ["a", "b"]),
        TermsCollector(lambda: EpochChain([document]), me, lambda: START),
        BacklogCollector(lambda: BACKLOG, lambda: document),
        JournalCollector(journal),
        MembersCollector(
            lambda: NOW,
            lambda: document,
            lambda now: (
                MemberPresence(me, is_me=True, received=now, clock_ms=now.wall_ms),
                MemberPresence(other, received=now, clock_ms=now.wall_ms),
            ),
            lambda: [Connection(peers[1], is_inbound=True, since_ms=0, ping_ms=12.0)],
        ),
        HealthCollector(lambda: {"clock": "behind"}, lambda: 1),
    ):
        registry.register(collector)
    return registry
