"""Bugs between proof and table: the union, settling, writers, receipts, and what is forgotten."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from heapq import heappop
from typing import Any

from gossip_price.core import rounds
from gossip_price.core.limits import POISON_RETRY_MS
from gossip_price.core.machine import Machine
from gossip_price.core.merging import Merging
from gossip_price.core.presence import Presence
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports
from gossip_price.core.types import Now
from gossip_price.core.writing import Writing
from gossip_price.simulator.bugs.change import change_all, changed


def drop_union() -> AbstractContextManager[None]:
    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        if len(self.signatures) >= 2 and member not in self.signatures:
            self.signatures.pop(next(iter(self.signatures)))
        return original(self, member, signature, now)

    original = Tally.merge
    return changed(Tally, "merge", merge)


def store_unsettled() -> AbstractContextManager[None]:
    return changed(Tally, "settles_ms", property(lambda self: self.proven_ms))


def settle_on_first_proven() -> AbstractContextManager[None]:
    def settles_ms(self: Any) -> int | None:
        if self.proven_ms is None:
            return None
        due_ms: int = self.proven_ms + self.document.settle * 1000
        return due_ms

    return changed(Tally, "settles_ms", property(settles_ms))


def ignore_cap() -> AbstractContextManager[None]:
    def settles_ms(self: Any) -> int | None:
        if self.proven_ms is None:
            return None
        due_ms: int = self.last_signer_ms + self.document.settle * 1000
        return due_ms

    return changed(Tally, "settles_ms", property(settles_ms))


def await_all_until_cap() -> AbstractContextManager[None]:
    """Whoever has not signed yet is waited for until the cap, however silent."""

    def settles_ms(self: Any) -> int | None:
        if self.proven_ms is None or self.is_complete:
            due_ms: int | None = original(self)
            return due_ms
        cap_ms: int = self.proven_ms + self.document.settle_cap * 1000
        return cap_ms

    original: Any = Tally.settles_ms.fget  # type: ignore[attr-defined]  # it is a property
    return changed(Tally, "settles_ms", property(settles_ms))


def settle_a_second_late() -> AbstractContextManager[None]:
    original, deadline = Merging.settle_next, Merging.get_deadline_ms

    def settle_next(self: Any, now: Now) -> Tally | None:
        return original(self, Now(now.wall_ms, now.mono_ms - 1_000))

    def get_deadline_ms(self: Any) -> int | None:
        due_ms = deadline(self)
        return None if due_ms is None else due_ms + 1_000

    return change_all(
        changed(Merging, "settle_next", settle_next),
        changed(Merging, "get_deadline_ms", get_deadline_ms),
    )


def forget_when_it_settles() -> AbstractContextManager[None]:
    """What is due waits for something else to happen."""
    return changed(Merging, "get_deadline_ms", lambda self: None)


def settle_one_of_many() -> AbstractContextManager[None]:
    """What is due beside another is forgotten."""
    original = Merging.settle_next

    def settle_next(self: Any, now: Now) -> Tally | None:
        tally = original(self, now)
        while tally is not None and self._settling and self._settling[0][0] <= now.mono_ms:
            heappop(self._settling)
        return tally

    return changed(Merging, "settle_next", settle_next)


def settle_by_wall_clock() -> AbstractContextManager[None]:
    original, deadline = Machine.step, Machine.get_deadline_ms
    offsets: weakref.WeakKeyDictionary[Machine, int] = weakref.WeakKeyDictionary()

    def move(self: Any, now: Now) -> Now:
        offset = offsets.setdefault(self, now.wall_ms - now.mono_ms)
        return Now(now.wall_ms, now.wall_ms - offset)

    def step(self: Any, event: Any, now: Now) -> Any:
        return original(self, event, move(self, now))

    def get_deadline_ms(self: Any, now: Now) -> int:
        moved = move(self, now)
        return max(deadline(self, moved) - moved.mono_ms, 1) + now.mono_ms

    return change_all(
        changed(Machine, "step", step), changed(Machine, "get_deadline_ms", get_deadline_ms)
    )


def let_receipts_prune() -> AbstractContextManager[None]:
    original = Writing.add

    def process_receipt(self: Any, id_: bytes, store: bytes, mono_ms: int) -> bool:
        return self._pending.pop(id_, None) is not None

    def add(self: Any, row: Any, now: Now, *, trusted: bool = False, vouched: Any = None) -> None:
        if vouched is None:
            original(self, row, now, trusted=trusted)

    return change_all(
        changed(Writing, "process_receipt", process_receipt), changed(Writing, "add", add)
    )


def forget_receipted_rows() -> AbstractContextManager[None]:
    """Believe a receipt for ever: never look again."""
    return changed(Writing, "_take_trusted", lambda self, mono_ms: [])


def forget_what_waits() -> AbstractContextManager[None]:
    original = Writing.process_down

    def process_down(self: Any) -> None:
        waiting = [i for i, one in self._pending.items() if one.status.value == "waiting"]
        original(self)
        for id_ in waiting:
            del self._pending[id_]

    return changed(Writing, "process_down", process_down)


def keep_proven_in_memory() -> AbstractContextManager[None]:
    return changed(Merging, "remember_proven", lambda self, tally: None)


def send_on_each_merge() -> AbstractContextManager[None]:
    original = Merging.merge

    def merge(self: Any, tally: Any, member: int, signature: bytes, now: Now) -> None:
        original(self, tally, member, signature, now)
        self._outbox.add_entry(tally.id, now.mono_ms)

    return changed(Merging, "merge", merge)


def never_take_over() -> AbstractContextManager[None]:
    """Who is not the first writer leaves it to the first, however long that takes."""

    def compute_delay_ms(self: Any, slot: int, mono_ms: int) -> int:
        delay_ms: int = original(self, slot, mono_ms)
        return delay_ms and 86_400_000

    original = Writing._compute_delay_ms
    return changed(Writing, "_compute_delay_ms", compute_delay_ms)


def everybody_writes() -> AbstractContextManager[None]:
    return changed(Presence, "get_writers", lambda self, document, store, mono_ms, among: [])


def never_forget_rounds() -> AbstractContextManager[None]:
    return changed(rounds, "compute_close_ms", lambda document, start: (start + 86_400) * 1000)


def never_drop_unproven() -> AbstractContextManager[None]:
    return changed(Reports, "drop", lambda self, tally: self._unsettled.discard(tally.id))


def write_as_a_herd() -> AbstractContextManager[None]:
    """After an outage everybody writes what waited."""
    original = Writing._assign_ranks

    def assign_ranks(self: Any, now: Now) -> None:
        with changed(Writing, "_compute_delay_ms", lambda self, slot, mono_ms: 0):
            original(self, now)

    return changed(Writing, "_assign_ranks", assign_ranks)


def set_batch_aside() -> AbstractContextManager[None]:
    """A refused batch waits as a whole, for one row's sake."""

    def process_refused(self: Any, ids: Any, mono_ms: int) -> Any:
        if ids != self._in_flight:
            return None
        self._in_flight = ()
        for id_ in ids:
            self._schedule(self._pending[id_], mono_ms + POISON_RETRY_MS)
        return ids[0]

    return changed(Writing, "process_refused", process_refused)


def drop_refused() -> AbstractContextManager[None]:
    """What the database refused once is never tried again."""
    original = Writing.process_refused

    def process_refused(self: Any, ids: Any, mono_ms: int) -> Any:
        poison = original(self, ids, mono_ms)
        if poison is not None:
            self._pending.pop(poison, None)
        return poison

    return changed(Writing, "process_refused", process_refused)
