"""A network under test and all that is left of it: facts, table, journals, words on the wire.

What real nodes (`real_network`) and quick ones (`island`) have in common. Waiting is always for
something that is seen to happen, with a deadline.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

import asyncpg

from faults.history import Disturbance, History, Verdict, judge
from faults.journal_file import read_journal
from faults.postgres_proxy import PostgresProxy
from faults.recorder import Fact, Facts
from faults.table import read_quarantine, read_table
from faults.watched import SIGN_MARKS, STORE_MARKS
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.network.document import Document

T = TypeVar("T")

#: Generous: a loaded machine is slow, a broken network never gets there.
DEADLINE_S: Final = 120.0
_POLL_S: Final = 0.05
#: A test's thread that wakes this late shows a machine too busy to promise rounds in time.
_STALL_S: Final = 1.0
_WORTH_TELLING: Final = ("began", "killed", "told", "asked_to_write", "inserted", "penalized")
_FOREVER_MS: Final = 1 << 52
MARKS: Final = SIGN_MARKS + STORE_MARKS
ANYWHERE: Final = "anywhere: its mark did not come"
_numbers = itertools.count(1)


class Life(Protocol):
    """A process of one node."""

    @property
    def pid(self) -> int: ...

    def is_running(self) -> bool: ...

    def wait(self, seconds: float) -> None:
        """Wait for its end. Raises TimeoutError."""


class FaultNetwork:
    """Nodes by their index in the roster, one database, and a proxy before it.

    `to_true_ms` makes monotonic nanoseconds of this machine the network's time.
    """

    documents: tuple[Document, ...]
    journals: dict[int, Path]

    def __init__(self, place: Path, server: EmbeddedPostgres, template: str) -> None:
        self.place = place
        self.server = server
        (place / "facts").mkdir()
        self.facts = Facts(place / "facts")
        self.database = f"faults_{next(_numbers)}"
        _administer(server, f"CREATE DATABASE {self.database} TEMPLATE {template}")
        self.proxy = PostgresProxy(place / "pg", lambda: server.get_url(self.database))
        self.lives: dict[int, Life] = {}
        self.life_counts: dict[int, int] = {}
        self.disturbances: list[Disturbance] = []
        self.removed: list[tuple[int, tuple[bytes, ...]]] = []
        self.calm_ms: int | None = None
        self._dooms: dict[int, str] = {}
        self._stalls = threading.Event()
        threading.Thread(target=self._watch_machine, daemon=True).start()

    @property
    def url(self) -> str:
        """The database without the proxy, for looking at it and for tampering."""
        return self.server.get_url(self.database)

    def to_true_ms(self, ns: int) -> int:
        return ns // 1_000_000 + round((time.time() - time.monotonic()) * 1000)

    def now_ms(self) -> int:
        """Return the network's time."""
        return self.to_true_ms(time.monotonic_ns())

    # --- waiting ------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return how many facts there are, to look at what comes after."""
        self.facts.read()
        return len(self.facts.all)

    def wait_for(
        self,
        found: Callable[[list[Fact]], T],
        what: str,
        *,
        after: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> T:
        """Return what `found` makes of the facts since `after` as soon as that is true."""
        end = time.monotonic() + deadline_s
        while True:
            self.facts.read()
            result = found(self.facts.all[after:])
            if result:
                return result
            self.check_alive()
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {deadline_s:.0f} s\n{self.tell_logs()}")
            time.sleep(_POLL_S)

    def wait_for_told(self, kind: str, count: int = 1, *, node: int | None = None,
                      after: int = 0, deadline_s: float = DEADLINE_S) -> list[Fact]:  # fmt: skip
        """Return the notes of this kind since `after`, once there are `count` (at `node`)."""

        def find(facts: list[Fact]) -> list[Fact]:
            told = get_told(facts, kind, node)
            return told if len(told) >= count else []

        where = "" if node is None else f" at node {node}"
        what = f"{count} × {kind}{where}"
        return self.wait_for(find, what, after=after, deadline_s=deadline_s)

    def check_alive(self) -> None:
        """Raise if a process ended that nobody ended."""
        for node, life in self.lives.items():
            assert life.is_running(), f"node {node} has ended\n{self.tell_logs()}"

    def tell_logs(self) -> str:
        """Return what was last told, and the last words of every node."""
        start = self.facts.all[0].ns if self.facts.all else 0
        lines = [
            f"{(fact.ns - start) / 1e9:8.2f} s node {fact.node} {fact.kind} {_shorten(fact.values)}"
            for fact in self.facts.all
            if fact.kind in _WORTH_TELLING
        ]
        logs = [
            f"--- {path.name}\n{path.read_text(errors='replace')[-600:]}"
            for path in sorted(self.place.glob("*.log"))
        ]
        return "\n".join((*lines[-80:], *logs))

    # --- faults and their end -----------------------------------------------------------------

    @contextmanager
    def disturbed(self, kind: str, *nodes: int) -> Iterator[None]:
        """Say that within this block nothing is promised of these nodes (none: of all)."""
        start_ms = self.now_ms()
        try:
            yield
        finally:
            self.disturbances.append(Disturbance(start_ms, self.now_ms(), kind, nodes))

    def begin(self, node: int, mark: str | None = None, crossing: int = 1) -> None:
        """Start a life of a node; it ends at that crossing of the mark."""
        raise NotImplementedError

    def kill(self, node: int) -> None:
        """SIGKILL, wherever it is."""
        life = self.lives[node]
        if life.is_running():
            os.kill(life.pid, signal.SIGKILL)
            life.wait(DEADLINE_S)

    def heal(self) -> None:
        """Give every node a life that nobody ends."""
        for node in self.journals:
            self.kill(node)
            self.begin(node)

    def kill_at_marks(self, dice: random.Random, *, each: int, doomed_s: float,
                      deadline_s: float) -> Counter[str]:  # fmt: skip
        """Kill nodes at marks until each has had its share; return how many kills each had.

        Who has not come to its mark after `doomed_s` is killed wherever it is, and takes another.
        """
        kills: Counter[str] = Counter(dict.fromkeys(MARKS, 0))
        end = time.monotonic() + deadline_s
        due = dict.fromkeys(self.journals, 0.0)
        for node in due:
            self._begin_doomed(node, kills, each, dice)
            due[node] = time.monotonic() + doomed_s
        while min(kills[mark] for mark in MARKS) < each:
            for fact in self.facts.read():
                if fact.kind == "killed":
                    kills[fact.values[0]] += 1
            for node, life in list(self.lives.items()):
                if life.is_running() and time.monotonic() > due[node]:
                    self.kill(node)
                    kills[ANYWHERE] += 1
                if not life.is_running():
                    self._begin_doomed(node, kills, each, dice)
                    due[node] = time.monotonic() + doomed_s
            if time.monotonic() > end:
                raise AssertionError(f"kills so far: {kills}\n{self.tell_logs()}")
            time.sleep(0.01)
        return kills

    def _begin_doomed(self, node: int, kills: Counter[str], each: int, dice: random.Random) -> None:
        """Begin a life that ends at one of the marks with the fewest kills."""
        taken = {mark for other, mark in self._dooms.items() if other != node}
        # Half of them on the way to the table, where only one at a time goes, while that is wanted.
        kinds = [marks for marks in (SIGN_MARKS, STORE_MARKS)
                 if min(kills[mark] for mark in marks) < each]  # fmt: skip
        marks = dice.choice(kinds or [MARKS])
        mark = min(marks, key=lambda mark: (kills[mark] + (mark in taken), dice.random()))
        self._dooms[node] = mark
        self.begin(node, mark, dice.choice((1, 1, 2, 3)) if mark in SIGN_MARKS else 1)

    def calm_down(self, deadline_s: float = DEADLINE_S) -> None:
        """Nothing goes wrong from now on: wait until all that was proven stands in the table."""
        # Two rounds more: what the last fault has touched is over then.
        document = self.documents[-1]
        before_ms = self.now_ms() + 2 * document.interval * 1000
        self.wait_for(lambda _: self.now_ms() >= before_ms, "time")
        self.calm_ms = self.now_ms()
        proven = self._find_proven()
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            missing = proven - {row.row.id for row in read_table(self.url)}
            if not missing:
                return
            self.check_alive()
            time.sleep(0.3)
        # Not raised here: the checkers say which, and at whom.

    def finish(self) -> Verdict:
        """End all nodes, and let the checkers look at what is left."""
        self.disturbances.append(Disturbance(self.now_ms(), _FOREVER_MS, "the end"))
        self.end_nodes()
        return judge(self.get_history())

    def get_history(self) -> History:
        """Return all that is left."""
        self.facts.read()
        return History(
            documents=self.documents,
            facts=list(self.facts.all),
            rows=read_table(self.url),
            journals={node: path for node, path in self.journals.items() if path.exists()},
            statements=[list(texts) for texts in self.proxy.statements],
            to_true_ms=self.to_true_ms,
            disturbances=list(self.disturbances),
            calm_ms=self.calm_ms,
            removed=list(self.removed),
            quarantined=read_quarantine(self.url),
        )

    def end_nodes(self) -> None:
        """Ask every process to leave, and wait for it."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave nothing running."""
        self._stalls.set()
        self.proxy.close()
        if self.server.pid is not None:
            _administer(self.server, f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")

    def _find_proven(self) -> set[bytes]:
        self.facts.read()
        proven = {fact.values[3] for fact in get_told(self.facts.all, "proven")}
        assert self.calm_ms is not None
        for path in self.journals.values():
            if not path.exists():
                continue
            for id_, (claim, *_) in read_journal(path).proven.items():
                law = self.documents[-1]
                if (claim.round + law.interval + law.skew) * 1000 <= self.calm_ms:
                    proven.add(id_)
        return proven

    def _watch_machine(self) -> None:
        while not self._stalls.is_set():
            before = time.monotonic_ns()
            self._stalls.wait(_STALL_S / 4)
            now = time.monotonic_ns()
            if now - before > _STALL_S * 1e9:
                span = self.to_true_ms(before), self.to_true_ms(now)
                self.disturbances.append(Disturbance(*span, "a machine too busy"))


def _shorten(values: tuple[object, ...]) -> str:
    words = (value.hex()[:8] if isinstance(value, bytes) else str(value) for value in values)
    return " ".join(words)[:160]


def get_told(facts: list[Fact], kind: str, node: int | None = None) -> list[Fact]:
    """Return the notes of one kind."""
    return [
        fact
        for fact in facts
        if fact.kind == "told" and fact.values[0] == kind and node in (None, fact.node)
    ]


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(server.get_url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
