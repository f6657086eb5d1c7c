"""Who writes which settled row, and when: one writer at a time, take-over, receipts, outages.

A fresh row's writing order comes from its round, which all members agree on; after an outage
the order starts anew from the time, so that one member writes the backlog and no herd does.
A receipt only delays a write: what somebody else vouches for is written by ourselves later,
which costs nothing where it was true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from gossip_price.core.limits import (
    BATCH_ROWS_MAX,
    POISON_RETRY_MS,
    RECEIPT_TRUST_MS,
    WRITE_GATHER_MS,
    WRITE_SLOT_S,
    WRITER_STEP_MS,
)
from gossip_price.core.rounds import order_writers
from gossip_price.core.types import Now, StoredRow

Eligible = Callable[[bytes, int], Iterable[bytes]]
"""(store id, mono_ms) → addresses of the members that may write to this store, us included."""


#: A time that is on no schedule.
_IN_FLIGHT_MS: Final = -1


class _Status(Enum):
    WAITING = "waiting"
    TRUSTED = "trusted"
    POISON = "poison"


class _Pending:
    __slots__ = ("due_ms", "row", "status")

    def __init__(self, row: StoredRow) -> None:
        self.row = row
        self.status = _Status.WAITING
        self.due_ms = 0


class Writing:
    """Settled rows that we have not seen written by ourselves, and the batch under way.

    `me` is our address; `eligible` tells who else may write.
    """

    def __init__(self, me: bytes, eligible: Eligible) -> None:
        self._me = me
        self._eligible = eligible
        self._pending: dict[bytes, _Pending] = {}
        self._heap: list[tuple[int, bytes]] = []
        self._halves: list[tuple[bytes, ...]] = []
        self._in_flight: tuple[bytes, ...] = ()
        self.store: bytes | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._pending

    def add(self, row: StoredRow, now: Now, *, receipted: bool = False) -> None:
        """Take a settled row. `receipted`: a member already vouched that it is written."""
        pending = self._pending[row.id] = _Pending(row)
        if receipted:
            self._schedule(pending, _Status.TRUSTED, now.mono_ms + RECEIPT_TRUST_MS)
        else:
            delay = WRITE_GATHER_MS + self._compute_delay_ms(row.report.round, now.mono_ms)
            self._schedule(pending, _Status.WAITING, now.mono_ms + delay)

    def process_receipt(self, id_: bytes, mono_ms: int) -> bool:
        """Somebody vouches for this id; tell whether it was waiting."""
        pending = self._pending.get(id_)
        if pending is None or pending.status is not _Status.WAITING:
            return False
        self._schedule(pending, _Status.TRUSTED, mono_ms + RECEIPT_TRUST_MS)
        return True

    def process_up(self, store: bytes, now: Now) -> None:
        """The database answers: ranks start anew for everything that waits."""
        self.process_down()
        self.store = store
        slot = now.wall_ms // 1000 // WRITE_SLOT_S * WRITE_SLOT_S
        due_ms = now.mono_ms + self._compute_delay_ms(slot, now.mono_ms)
        for pending in self._pending.values():
            if pending.status is _Status.WAITING:
                self._schedule(pending, _Status.WAITING, due_ms)

    def process_down(self) -> None:
        """The database does not answer: the batch under way may or may not be written."""
        self.store = None
        for id_ in (*self._in_flight, *(id_ for half in self._halves for id_ in half)):
            if id_ in self._pending:
                self._pending[id_].status = _Status.WAITING
        self._in_flight = ()
        self._halves.clear()

    def process_written(self, ids: Iterable[bytes]) -> list[StoredRow]:
        """Our batch was written; return its rows, which are done."""
        self._in_flight = ()
        done = (self._pending.pop(id_, None) for id_ in ids)
        return [pending.row for pending in done if pending is not None]

    def process_refused(self, ids: tuple[bytes, ...], mono_ms: int) -> bytes | None:
        """Our batch was refused: halve it, or return the id of the one row that is poison."""
        self._in_flight = ()
        if len(ids) > 1:
            middle = len(ids) // 2
            self._halves += [ids[:middle], ids[middle:]]
            return None
        pending = self._pending.get(ids[0])
        if pending is not None:
            self._schedule(pending, _Status.POISON, mono_ms + POISON_RETRY_MS)
        return ids[0]

    def hurry(self, mono_ms: int) -> None:
        """We are leaving: what waits is due now, whoever's turn it is."""
        for pending in self._pending.values():
            if pending.status is _Status.WAITING:
                self._schedule(pending, _Status.WAITING, mono_ms)

    def take_batch(self, mono_ms: int) -> tuple[StoredRow, ...]:
        """Return the rows to write now, by id; empty while nothing is due or one is under way."""
        if self.store is None or self._in_flight:
            return ()
        ids: list[bytes] = []
        while self._halves and not ids:
            ids = [id_ for id_ in self._halves.pop(0) if id_ in self._pending]
        if not ids:
            # Once one is due, those that would be within the gathering time go with it.
            horizon_ms = mono_ms
            while len(ids) < BATCH_ROWS_MAX and (due := self._peek()) is not None:
                if due > horizon_ms:
                    break
                horizon_ms = mono_ms + WRITE_GATHER_MS
                id_ = heappop(self._heap)[1]
                self._pending[id_].due_ms = _IN_FLIGHT_MS
                ids.append(id_)
            ids.sort()
        self._in_flight = tuple(ids)
        return tuple(self._pending[id_].row for id_ in ids)

    def is_busy(self) -> bool:
        """Tell whether a batch is under way, or rows wait while the database answers."""
        waiting = any(pending.status is _Status.WAITING for pending in self._pending.values())
        return bool(self._in_flight) or (self.store is not None and waiting)

    def get_deadline_ms(self) -> int | None:
        """Return when the next row is due; None while there is nothing to do or no way to."""
        if self.store is None or self._in_flight:
            return None
        return 0 if self._halves else self._peek()

    def _schedule(self, pending: _Pending, status: _Status, due_ms: int) -> None:
        pending.status = status
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
        members = {self._me, *self._eligible(self.store, mono_ms)}
        return order_writers(self.store, slot, members).index(self._me) * WRITER_STEP_MS
