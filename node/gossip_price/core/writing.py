"""Who writes which settled row, and when: one writer at a time, take-over, receipts, outages.

A fresh row's writing order comes from its round, which all members agree on; after an outage
the order starts anew from the time, so that one member writes the backlog and no herd does.
A receipt only delays a write: what somebody else vouches for is written by ourselves later,
which costs nothing where it was true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from heapq import heappop, heappush
from itertools import islice
from typing import Final

from gossip_price.core.backlog import Waiting
from gossip_price.core.limits import (
    BATCH_ROWS_MAX,
    POISON_RETRY_MS,
    RECEIPT_TRUST_MS,
    ROLL_CALL_MS,
    WAITING_MAX,
    WRITE_GATHER_MS,
    WRITE_SLOT_S,
    WRITER_STEP_MS,
)
from gossip_price.core.rounds import order_writers
from gossip_price.core.types import Now, Report, StoredRow

Eligible = Callable[[bytes, int, Sequence[bytes]], Sequence[bytes]]
"""(store id, mono_ms, members) → those of them that may write to this store."""

#: A time that is on no schedule.
_UNSCHEDULED_MS: Final = -1


class _Status(Enum):
    WAITING = "waiting"
    TRUSTED = "trusted"
    POISON = "poison"


class _Pending:
    __slots__ = ("due_ms", "row", "status", "vouched")

    def __init__(self, row: StoredRow) -> None:
        self.row = row
        self.status = _Status.WAITING
        self.due_ms = _UNSCHEDULED_MS
        #: The store that somebody's receipt named.
        self.vouched: bytes | None = None


class Writing:
    """Settled rows that we have not seen written by ourselves, and the batch under way.

    `me` is our address; `eligible` tells who else may write, `get_roster` who is a member at a time
    (monotonic). Who was removed, and may hear nobody any more, writes after all members.
    """

    def __init__(
        self, me: bytes, eligible: Eligible, get_roster: Callable[[int], tuple[bytes, ...]]
    ) -> None:
        self._me = me
        self._eligible = eligible
        self._get_roster = get_roster
        self._pending: dict[bytes, _Pending] = {}
        self._heap: list[tuple[int, bytes]] = []
        self._trusted: dict[bytes, None] = {}
        self._trusted_ms: int | None = None
        self._halves: list[tuple[bytes, ...]] = []
        self._in_flight: tuple[bytes, ...] = ()
        self._roll_call_ms: int | None = None
        self.store: bytes | None = None
        #: By pair the newest round of which we know, or were told, that it is stored.
        self.stored_rounds: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._pending

    def add(
        self,
        row: StoredRow,
        now: Now,
        *,
        trusted: bool = False,
        vouched: bytes | None = None,
    ) -> None:
        """Take a settled row.

        `trusted`: an earlier life of ours believed a receipt for it; `vouched`: a receipt that
        came before it settled named this store.
        """
        pending = self._pending[row.id] = _Pending(row)
        pending.vouched = vouched
        if trusted or (vouched is not None and vouched == self.store):
            self._trust(pending, now.mono_ms)
        elif self.store is not None and self._roll_call_ms is None:
            delay_ms = self._compute_delay_ms(row.report.round, now.mono_ms)
            self._schedule(pending, now.mono_ms + WRITE_GATHER_MS + delay_ms)

    def add_absent(self, row: StoredRow, now: Now) -> None:
        """Take a row that should stand in the table and does not, whoever vouched for it.

        The minute gives the order: one member writes what a restored backup took away.
        """
        pending = self._pending.get(row.id)
        if pending is None:
            if len(self._pending) >= WAITING_MAX:
                return  # the next audit finds it again
            pending = self._pending[row.id] = _Pending(row)
        elif pending.status is not _Status.TRUSTED:
            return
        self._trusted.pop(row.id, None)
        pending.status = _Status.WAITING
        pending.vouched = None
        delay_ms = self._compute_delay_ms(_get_slot(now), now.mono_ms)
        self._schedule(pending, now.mono_ms + WRITE_GATHER_MS + delay_ms)

    def is_waiting(self, id_: bytes) -> bool:
        """Tell whether this id is on its way into the table, and not only vouched for."""
        pending = self._pending.get(id_)
        return pending is not None and pending.status is not _Status.TRUSTED

    def mark_stored(self, report: Report) -> None:
        """Take note that this report stands in the database."""
        newest = max(report.round, self.stored_rounds.get(report.pair, 0))
        self.stored_rounds[report.pair] = newest

    def describe_waiting(self) -> Waiting:
        """Tell how much waits that nobody vouches for, refused rows included."""
        signed_ms = [
            pending.row.last_signed_ms
            for pending in self._pending.values()
            if pending.status is not _Status.TRUSTED
        ]
        return Waiting(len(signed_ms), min(signed_ms, default=None))

    def is_first(self, slot: int, mono_ms: int) -> bool:
        """Tell whether we are the slot's first writer."""
        return self.store is not None and self._compute_delay_ms(slot, mono_ms) == 0

    def is_idle(self) -> bool:
        """Tell whether the database answers, no batch is under way, and ranks are known."""
        is_busy = self._in_flight or self._halves or self._roll_call_ms is not None
        return self.store is not None and not is_busy

    def process_receipt(self, id_: bytes, store: bytes, mono_ms: int) -> bool:
        """Somebody vouches for this id; tell whether it was waiting and is not any more."""
        pending = self._pending.get(id_)
        if pending is None or pending.status is not _Status.WAITING:
            return False
        if self.store is None:
            # Our own way to the database is down, not everybody's; we shall see which it is.
            pending.vouched = store
        if store != self.store:
            return False
        pending.vouched = store
        self._trust(pending, mono_ms)
        return True

    def process_up(self, store: bytes, now: Now) -> None:
        """The database answers. Who writes what waits is decided once the others were heard.

        Their heartbeats must name this store before they have a rank; deciding at once, each
        would find itself alone, and all would write.
        """
        self.process_down()
        self.store = store
        self._roll_call_ms = now.mono_ms + ROLL_CALL_MS
        for id_, pending in self._pending.items():
            if pending.status is _Status.WAITING:
                pending.due_ms = _UNSCHEDULED_MS
                if pending.vouched == store:
                    self._trust(pending, now.mono_ms)
            elif pending.status is _Status.TRUSTED and pending.vouched not in (None, store):
                # What stands in another database does not stand in this one.
                pending.status = _Status.WAITING
                self._trusted.pop(id_, None)

    def process_down(self) -> None:
        """The database does not answer: the batch under way may or may not be written."""
        self.store = None
        self._roll_call_ms = None
        for id_ in (*self._in_flight, *(id_ for half in self._halves for id_ in half)):
            if id_ in self._pending:
                self._pending[id_].status = _Status.WAITING
                self._pending[id_].due_ms = _UNSCHEDULED_MS
                self._trusted.pop(id_, None)
        self._in_flight = ()
        self._halves.clear()

    def process_written(self, ids: tuple[bytes, ...]) -> tuple[list[StoredRow], tuple[bytes, ...]]:
        """Our batch was written; return its rows, which are done, and the ids that are news.

        No news is what somebody's receipt had told everybody already.
        """
        if ids == self._in_flight:
            self._in_flight = ()
        done = [self._pending.pop(id_) for id_ in ids if id_ in self._pending]
        for pending in done:
            self._trusted.pop(pending.row.id, None)
            self.mark_stored(pending.row.report)
        news = tuple(p.row.id for p in done if p.status is not _Status.TRUSTED)
        return [pending.row for pending in done], news

    def process_refused(self, ids: tuple[bytes, ...], mono_ms: int) -> bytes | None:
        """Our batch was refused: halve it, or return the id of the one row that is poison."""
        if ids != self._in_flight:
            return None  # of before an outage: its rows are scheduled anew already
        self._in_flight = ()
        if len(ids) > 1:
            middle = len(ids) // 2
            self._halves += [ids[:middle], ids[middle:]]
            return None
        pending = self._pending.get(ids[0])
        if pending is not None:
            self._trusted.pop(ids[0], None)
            pending.status = _Status.POISON
            self._schedule(pending, mono_ms + POISON_RETRY_MS)
        return ids[0]

    def hurry(self, mono_ms: int) -> None:
        """We are leaving: what waits is due now, whoever's turn it is."""
        self._roll_call_ms = None
        for id_, pending in self._pending.items():
            if pending.status is _Status.WAITING and id_ not in self._in_flight:
                self._schedule(pending, mono_ms)

    def take_batch(self, now: Now) -> tuple[StoredRow, ...]:
        """Return the rows to write now, by id; empty while nothing is due or one is under way."""
        if self.store is None or self._in_flight:
            return ()
        if self._roll_call_ms is not None and now.mono_ms >= self._roll_call_ms:
            self._assign_ranks(now)
        ids: list[bytes] = []
        while self._halves and not ids:
            ids = [id_ for id_ in self._halves.pop(0) if id_ in self._pending]
        ids = ids or self._take_due(now.mono_ms) or self._take_trusted(now.mono_ms)
        if not ids:
            return ()
        self._in_flight = tuple(sorted(ids))
        return tuple(self._pending[id_].row for id_ in self._in_flight)

    def is_busy(self) -> bool:
        """Tell whether a batch is under way, or rows wait while the database answers."""
        waiting = any(pending.status is _Status.WAITING for pending in self._pending.values())
        return bool(self._in_flight) or (self.store is not None and waiting)

    def get_deadline_ms(self) -> int | None:
        """Return when the next row is due; None while there is nothing to do or no way to."""
        if self.store is None or self._in_flight:
            return None
        if self._halves:
            return 0
        due_ms = self._peek()
        for other_ms in (self._roll_call_ms, self._trusted_ms):
            if other_ms is not None and (due_ms is None or other_ms < due_ms):
                due_ms = other_ms
        return due_ms

    def _take_due(self, mono_ms: int) -> list[bytes]:
        """Take what is due and, once one is, what would be within the gathering time."""
        ids: list[bytes] = []
        horizon_ms = mono_ms
        while len(ids) < BATCH_ROWS_MAX and (due_ms := self._peek()) is not None:
            if due_ms > horizon_ms:
                break
            horizon_ms = mono_ms + WRITE_GATHER_MS
            id_ = heappop(self._heap)[1]
            self._pending[id_].due_ms = _UNSCHEDULED_MS
            ids.append(id_)
        return ids

    def _take_trusted(self, mono_ms: int) -> list[bytes]:
        """Take all that only receipts vouch for, once the first is due: few large statements."""
        if self._trusted_ms is None or mono_ms < self._trusted_ms:
            return []
        ids = list(islice(self._trusted, BATCH_ROWS_MAX))
        for id_ in ids:
            del self._trusted[id_]
        if not self._trusted:
            self._trusted_ms = None
        return ids

    def _trust(self, pending: _Pending, mono_ms: int) -> None:
        pending.status = _Status.TRUSTED
        pending.due_ms = _UNSCHEDULED_MS
        self._trusted[pending.row.id] = None
        if self._trusted_ms is None:
            self._trusted_ms = mono_ms + RECEIPT_TRUST_MS

    def _assign_ranks(self, now: Now) -> None:
        """Let one member write what waited, and the next ones only if it does not."""
        self._roll_call_ms = None
        due_ms = now.mono_ms + self._compute_delay_ms(_get_slot(now), now.mono_ms)
        for pending in self._pending.values():
            if pending.status is _Status.WAITING:
                self._schedule(pending, due_ms)

    def _schedule(self, pending: _Pending, due_ms: int) -> None:
        pending.due_ms = due_ms
        heappush(self._heap, (due_ms, pending.row.id))

    def _peek(self) -> int | None:
        """Return when the first row is due, dropping what was rescheduled or is done."""
        while self._heap:
            due_ms, id_ = self._heap[0]
            pending = self._pending.get(id_)
            if pending is not None and pending.due_ms == due_ms:
                return due_ms
            heappop(self._heap)
        return None

    def _compute_delay_ms(self, slot: int, mono_ms: int) -> int:
        if self.store is None:
            return 0
        roster = self._get_roster(mono_ms)
        if self._me in roster:
            order = order_writers(self.store, slot, roster)
            before = order[: order.index(self._me)]
            rank = len(self._eligible(self.store, mono_ms, before))
        else:
            order = order_writers(self.store, slot, (self._me, *roster))
            rank = order.index(self._me) + len(roster)
        return rank * WRITER_STEP_MS


def _get_slot(now: Now) -> int:
    return now.wall_ms // 1000 // WRITE_SLOT_S * WRITE_SLOT_S
