"""A network of quick nodes: its roster, its lives, and kills until every mark has had some."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

from faults.fault_network import DEADLINE_S, FaultNetwork
from faults.island_node import SPEED, IslandOrder, run_forked, to_wall_ms
from faults.process_life import ForkedLife
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.network.document import PairTerms
from networks import SampleNetwork, make_network

_INTERVAL_S: Final = 4
_PAIRS: Final = tuple(PairTerms(f"{base}-USD", 8, 1, 10**15) for base in ("BTC", "ETH", "SOL"))


#: A life comes to its mark within this: a round, its settling, a roll call and a turn in writing.
DOOMED_S: Final = 24 / SPEED


class Island(FaultNetwork):
    """Four members in rounds of four of their own seconds, settled after three."""

    def __init__(self, place: Path, server: EmbeddedPostgres, template: str) -> None:
        super().__init__(place, server, template)
        self._anchor = time.monotonic_ns(), time.time_ns() // 1_000_000
        start = self._anchor[1] // 1000 // _INTERVAL_S * _INTERVAL_S
        self.network: SampleNetwork = make_network(
            4, interval=_INTERVAL_S, skew=2, settle=3, settle_cap=9, pairs=_PAIRS, start=start
        )
        self.documents = (self.network.document,)
        self.journals = {node: place / f"{node}.sqlite" for node in range(4)}
        #: Nobody promises rounds in time on a machine whose hours run so fast.
        self._whole = self.disturbed("a fast clock")
        self._whole.__enter__()

    def to_true_ms(self, ns: int) -> int:
        return to_wall_ms(self._anchor, ns)

    def begin(self, node: int, mark: str | None = None, crossing: int = 1) -> None:
        """Start a life of a node; it ends at that crossing of the mark."""
        life = self.life_counts[node] = self.life_counts.get(node, 0) + 1
        order = IslandOrder(
            folder=self.place,
            node=node,
            life=life,
            documents=tuple(document.canonical for document in self.documents),
            secret=self.network.signing_secrets[node],
            anchor=self._anchor,
            database=self.proxy.get_url(self.database),
            mark=mark,
            crossing=crossing,
        )
        self.lives[node] = ForkedLife(run_forked, str(self.place / f"node-{node}.log"), order)

    def end_nodes(self) -> None:
        self._whole.__exit__(None, None, None)
        for life in self.lives.values():
            if life.is_running():
                os.kill(life.pid, signal.SIGTERM)
        for life in self.lives.values():
            life.wait(DEADLINE_S)

    def close(self) -> None:
        for node in self.lives:
            self.kill(node)
        super().close()
