"""7. Cost: each node sends an id once a life, so at most N times in all; few statements; no SELECT.

The world's database offers the insert and nothing else, so that a SELECT on the write path cannot
even be tried.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Law, Moment, Row

#: Rows that only a receipt vouches for are written again by their holder, together, this often.
_TRUST_MS = 3_600_000


class CostChecker(Checker):
    """Counts what is sent and what is written."""

    name = "cost"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._sent: dict[bytes, dict[int, int]] = {}
        self._lives: dict[int, int] = {}
        self._began_ms: int | None = None
        self._is_quiet = True
        self.statements = 0
        self.rows = 0

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._lives[node] = self._lives.get(node, 0) + 1
        if self._began_ms is None:
            self._began_ms = at.true_ms

    def enacted(self, at: Moment, law: Law) -> None:
        super().enacted(at, law)
        # Who was removed writes what it helped to prove, as those do who stay.
        self._is_quiet = False

    def disturbed(self, start_ms: int, end_ms: int, kind: str, nodes: tuple[int, ...]) -> None:
        self._is_quiet = False

    def published(self, at: Moment, node: int, data: bytes) -> None:
        if node in self.liars:
            return
        for heard in self.evidence.read(data):
            life = self._lives[node]
            by_node = self._sent.setdefault(heard.id, {})
            if by_node.get(node) == life:
                self.blame(
                    at, node, f"sent {heard.id.hex()[:8]} twice", pair=heard.claim.pair,
                    round_=heard.claim.round,
                )  # fmt: skip
            by_node[node] = life
            while len(self._sent) > 1024:
                del self._sent[next(iter(self._sent))]

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self.statements += 1
        if len({row.id for row in rows}) != len(rows):
            self.blame(at, node, "the same row twice in one statement")

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self.rows += len(rows)

    def close(self, at: Moment) -> None:
        """While nothing goes wrong one member writes each row, and few batches look again."""
        if not self._is_quiet or self.liars or self._began_ms is None:
            return
        hours = (at.true_ms - self._began_ms) // _TRUST_MS + 1
        allowed = self.rows + len(self.setting.peers) * hours
        if self.statements > allowed:
            self.blame(at, -1, f"{self.statements} statements for {self.rows} rows")
