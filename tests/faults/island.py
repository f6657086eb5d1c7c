"""A network of quick nodes: its roster, its lives, and kills until every mark has had some."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final

from faults.fault_network import DEADLINE_S, FaultNetwork
from faults.island_node import SPEED, IslandOrder, run_forked, to_wall_ms
from faults.process_life import ForkedLife
from faults.watched import SIGN_MARKS, STORE_MARKS
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.network.document import PairTerms
from networks import SampleNetwork, make_network

_INTERVAL_S: Final = 4
_PAIRS: Final = tuple(PairTerms(f"{base}-USD", 8, 1, 10**15) for base in ("BTC", "ETH", "SOL"))


MARKS: Final = SIGN_MARKS + STORE_MARKS
ANYWHERE: Final = "anywhere: its mark did not come"
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
        self._dooms: dict[int, str] = {}
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

    def kill_at_marks(self, dice: random.Random, *, each: int, deadline_s: float) -> Counter[str]:
        """Kill nodes at marks until each has had its share; return how many kills each had.

        Who comes to its mark too late is killed wherever it is, and takes another.
        """
        kills: Counter[str] = Counter(dict.fromkeys(MARKS, 0))
        end = time.monotonic() + deadline_s
        due = {node: self._begin_doomed(node, kills, dice) for node in self.journals}
        while min(kills[mark] for mark in MARKS) < each:
            for fact in self.facts.read():
                if fact.kind == "killed":
                    kills[fact.values[0]] += 1
            for node, life in list(self.lives.items()):
                if life.is_running() and time.monotonic() > due[node]:
                    self.kill(node)
                    kills[ANYWHERE] += 1
                if not life.is_running():
                    due[node] = self._begin_doomed(node, kills, dice)
            if time.monotonic() > end:
                raise AssertionError(f"kills so far: {kills}\n{self.tell_logs()}")
            time.sleep(0.01)
        return kills

    def _begin_doomed(self, node: int, kills: Counter[str], dice: random.Random) -> float:
        """Begin a life that ends at one of the marks with the fewest kills; return until when."""
        taken = {mark for other, mark in self._dooms.items() if other != node}
        # Half of them on the way to the table, where only one at a time goes.
        marks = dice.choice((SIGN_MARKS, STORE_MARKS))
        mark = min(marks, key=lambda each: (kills[each] + (each in taken), dice.random()))
        self._dooms[node] = mark
        self.begin(node, mark, dice.choice((1, 1, 2, 3)) if mark in SIGN_MARKS else 1)
        return time.monotonic() + DOOMED_S

    def heal(self) -> None:
        """Give every node a life that nobody ends."""
        for node in self.journals:
            self.kill(node)
            self.begin(node)

    def kill(self, node: int) -> None:
        """SIGKILL, wherever it is."""
        life = self.lives[node]
        if life.is_running():
            os.kill(life.pid, signal.SIGKILL)
            life.wait(DEADLINE_S)

    def check_alive(self) -> None:
        for node, life in self.lives.items():
            assert life.is_running(), f"node {node} has ended\n{self.tell_logs()}"

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
