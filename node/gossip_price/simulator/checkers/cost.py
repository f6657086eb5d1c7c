"""7. Cost: each node sends an id once a life, so at most N times in all; few statements; no SELECT.

No node reads while it writes, and what the audit reads is bounded for each hour. After an outage
no herd writes: not three members the same row at once.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Law, Moment, Row

#: Rows that only a receipt vouches for are written again by their holder, together, this often.
_TRUST_MS = 3_600_000
_HOUR_MS = 3_600_000
#: Rows in a page of the audit, and statements of a page: by range, and by id what it lacks.
_PAGE_ROWS = 256
_PAGE_STATEMENTS = 2
#: Audits in an hour beside one for each reconnect: the hourly one, perhaps another a moment after
#: a reconnect's, the daily one, and one of everything where something was amiss.
_AUDITS = 4
#: Who writes in turn does so a step after the one before (3 s).
_HERD_MS = 2_000
_HERD = 3
#: A database that was slow is held to be so for this long.
_SLOW_MS = 120_000
#: So many writes of a node tell whether it reads before it writes; now and then an audit may
#: fall into the same moment.
_WRITES = 4
#: A read is just before a write for so long; what an audit finds missing is not written sooner.
_JUST_MS = 500


class CostChecker(Checker):
    """Counts what is sent and what is written."""

    name = "cost"
    hears_words = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._sent: dict[bytes, dict[int, int]] = {}
        self._lives: dict[int, int] = {}
        self._began_ms: int | None = None
        self._is_quiet = True
        self._kinds: set[str] = set()
        #: By node and hour: reconnects and statements of the audit.
        self._connects: dict[tuple[int, int], int] = {}
        self._reads: dict[tuple[int, int], int] = {}
        #: Who lately sent which row to the database, and when; when one last reached it anew.
        self._attempts: dict[bytes, dict[int, int]] = {}
        self._connected_ms = 0
        #: By node when it last sent rows; and when the database last took a herd's time for some.
        self._asked_ms: dict[int, int] = {}
        self._slow_ms = -_SLOW_MS
        self._standing: set[bytes] = set()
        #: Ids under which somebody's false row has stood: no INSERT of these changes anything.
        self._squatted: set[bytes] = set()
        #: By node: when it last read, how often it wrote, and how often just after it had read.
        self._read_ms: dict[int, int] = {}
        self._writes: dict[int, int] = {}
        self._looked: dict[int, int] = {}
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
        self._kinds.add(kind)

    def poisoned(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        # What is refused is tried by halves, and meanwhile by others.
        self._is_quiet = False
        self._kinds.add("poison")

    def connected(self, at: Moment, node: int) -> None:
        self._connected_ms = at.true_ms
        key = (node, at.mono_ms // _HOUR_MS)
        self._connects[key] = self._connects.get(key, 0) + 1

    def audited(self, at: Moment, node: int, count: int, *, is_writing: bool) -> None:
        if is_writing:
            self.blame(at, node, "audited while it was writing")
        self._read_ms[node] = at.true_ms
        hour = at.mono_ms // _HOUR_MS
        done = self._reads[node, hour] = self._reads.get((node, hour), 0) + 1
        # An audit that was under way when the hour began goes on; a page that failed comes again.
        connects = self._connects.get((node, hour), 0) + self._connects.get((node, hour - 1), 0)
        pages = self.rows // _PAGE_ROWS + 2
        allowed = (_AUDITS + connects) * _PAGE_STATEMENTS * (pages + 2)
        if count > _PAGE_ROWS or done > allowed:
            self.blame(at, node, f"read {count} rows in the hour's statement {done} of {allowed}")

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
        self._asked_ms[node] = at.true_ms
        self._writes[node] = self._writes.get(node, 0) + 1
        has_looked = at.true_ms - self._read_ms.get(node, -_JUST_MS) < _JUST_MS
        self._looked[node] = self._looked.get(node, 0) + has_looked
        if len({row.id for row in rows}) != len(rows):
            self.blame(at, node, "the same row twice in one statement")
        if self._kinds <= {"database"} and not self.liars:
            self._judge_herd(at, node, rows)

    def _judge_herd(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        # What stands there and is only vouched for, all may look after in the same minute. So may
        # they where something false stands, and none hears that it need not try again.
        for row in rows:
            if row.id in self._standing or row.id in self._squatted:
                continue
            attempts = self._attempts.setdefault(row.id, {})
            first_ms = min(attempts.values(), default=at.true_ms)
            attempts[node] = at.true_ms
            is_slow = at.true_ms - self._slow_ms < _SLOW_MS
            if is_slow and self._connected_ms < first_ms <= at.true_ms - _HERD_MS:
                continue  # a slow database keeps the next in turn busy with the row before
            lately = [other for other, ms in attempts.items() if at.true_ms - ms < _HERD_MS]
            if len(lately) >= _HERD:
                self.blame(at, node, f"{len(lately)} members write {row.id.hex()[:8]} at once")
        while len(self._attempts) > 1024:
            del self._attempts[next(iter(self._attempts))]

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self.rows += len(rows)
        if at.true_ms - self._asked_ms.get(node, at.true_ms) >= _HERD_MS:
            self._slow_ms = at.true_ms
        self._standing.update(row.id for row in rows)

    def removed(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        self._standing.difference_update(ids)

    def falsified(self, at: Moment, id_: bytes, *, is_foreign: bool) -> None:
        self._squatted.add(id_)

    def restored(self, at: Moment, true: tuple[bytes, ...], false: tuple[bytes, ...]) -> None:
        self._standing = set(true)

    def close(self, at: Moment) -> None:
        """No node reads before it writes; in peace one member writes each row, few look again."""
        for node, looked in self._looked.items():
            if self._writes[node] >= _WRITES and looked * 2 > self._writes[node]:
                self.blame(at, node, f"read just before {looked} of {self._writes[node]} writes")
        if not self._is_quiet or self.liars or self._began_ms is None:
            return
        hours = (at.true_ms - self._began_ms) // _TRUST_MS + 1
        allowed = self.rows + len(self.setting.peers) * hours
        if self.statements > allowed:
            self.blame(at, -1, f"{self.statements} statements for {self.rows} rows")
