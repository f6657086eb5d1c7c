"""What reconcile saw: frozen values, read from the API and from the nodes themselves. Pure.

What could not be asked is missing or None, never False: `status` says Unknown of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gossip_price.network.document import NetworkFile


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet: what it was told, and how far it is.

    `template_hash` is the annotation of that name; `image` the (first) container's.
    """

    template_hash: str | None
    image: str = ""
    replicas: int = 1
    updated: int = 0
    ready: int = 0
    #: The controller has seen the newest spec, else the counts are those of an older one.
    is_current: bool = True
    #: Applying what is rendered would change its pods, though the hash is the same: edited by hand.
    is_drifted: bool = False
    #: Why no pod gets ready, in the API's words ("ImagePullBackOff: …"), where it says so.
    trouble: str | None = None

    @property
    def is_ready(self) -> bool:
        """Every replica is of the newest template and ready."""
        return self.is_current and min(self.updated, self.ready) >= self.replicas


@dataclass(frozen=True)
class LastPrice:
    """A proven price as a node tells of it: in the quote currency, times in Unix seconds."""

    pair: str
    price: str
    round: int
    signers: int
    time: int


@dataclass(frozen=True)
class NodeHealth:
    """What a node said of itself when it was asked; None is what it does not tell.

    `peers` counts connections; `peer_ids` are their names. `known_epoch` is the newest epoch that
    it has read, `proven_epoch` the newest in which it saw a round proven. `settled_round` is the
    newest round of which it saw every pair settled. `store_up`: the database answers it;
    `store_problem`: why it does not.
    """

    ready: bool
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    peers: int | None = None
    peer_ids: frozenset[str] | None = None
    known_epoch: int | None = None
    proven_epoch: int | None = None
    prices: tuple[LastPrice, ...] = ()
    settled_round: int | None = None
    store_up: bool | None = None
    store_problem: str | None = None


class JobState(Enum):
    """How far the migration of the wanted image and database is."""

    MISSING = "missing"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Trouble:
    """What keeps the network from being what was wanted until a person acts: reason and message."""

    reason: str
    message: str


@dataclass(frozen=True)
class Observed:
    """The network as it is. `nodes` and `health` by number, a node's Deployment and its answer.

    `file` are the epochs and peers on record (None before the first); `proven_epoch` the newest
    epoch in which a round is known to have been proven. `postgres` is the managed StatefulSet.
    `migration_trouble` is what the migration's Job said when it last failed.
    `troubles` are what reconcile itself found wrong: an identity that is gone, a foreign object.
    """

    nodes: Mapping[int, Workload] = field(default_factory=lambda: MappingProxyType({}))
    bootstrap: Workload | None = None
    postgres: Workload | None = None
    migration: JobState = JobState.MISSING
    migration_trouble: str | None = None
    health: Mapping[int, NodeHealth] = field(default_factory=lambda: MappingProxyType({}))
    file: NetworkFile | None = None
    troubles: tuple[Trouble, ...] = ()

    @property
    def proven_epoch(self) -> int:
        """The newest epoch in which any node saw a round proven; 0 where none is known."""
        return max((health.proven_epoch or 0 for health in self.health.values()), default=0)
