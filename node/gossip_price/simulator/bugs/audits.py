"""Bugs in the audit: what it believes, what it puts right, when it reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from gossip_price.core import audit, judging
from gossip_price.core import events as ev
from gossip_price.core.audit import Audit
from gossip_price.core.judging import Judgement, Standing
from gossip_price.core.limits import AUDIT_READ_MS
from gossip_price.core.machine import Machine
from gossip_price.core.storing import Storing
from gossip_price.core.types import Now
from gossip_price.core.writing import Writing
from gossip_price.simulator.bugs.change import change_all, changed
from gossip_price.simulator.database import Table


def never_audit() -> AbstractContextManager[None]:
    return change_all(
        changed(Audit, "advance", lambda self, now, *, is_free: []),
        changed(Audit, "get_deadline_ms", lambda self, *, is_free: None),
    )


def unaudited(
    make: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """The audit mends what this bug breaks: without it, the bug must show."""
    return lambda: change_all(make(), never_audit())


def believe_ids() -> AbstractContextManager[None]:
    """A row is true because its id stands there."""
    true = Judgement(Standing.TRUE)
    return change_all(
        changed(audit, "judge_known", lambda *given: true),
        changed(audit, "judge_unknown", lambda *given: true),
    )


def leave_late_to_first_writer() -> AbstractContextManager[None]:
    """The audit does not compare signers: what the first writer missed is nowhere."""
    original = judging.judge_known

    def judge(*given: Any) -> Any:
        return original(*given)._replace(late=())

    return changed(audit, "judge_known", judge)


def drop_late() -> AbstractContextManager[None]:
    return change_all(
        changed(Audit, "add_late", lambda self, late, slot, mono_ms: None),
        leave_late_to_first_writer(),
    )


def quarantine_alone() -> AbstractContextManager[None]:
    original = Table.correct

    def correct(self: Any, corrections: Any, wall_ms: int) -> Any:
        bare = [msgspec.structs.replace(one, truth=None) for one in corrections]
        return original(self, bare, wall_ms)

    return changed(Table, "correct", correct)


def correct_unsettled() -> AbstractContextManager[None]:
    """What belongs in a false row's place is put there before it has settled."""
    original = Audit._judge

    def judge(self: Any, *given: Any) -> Any:
        is_unsettled, self._is_unsettled = self._is_unsettled, lambda id_: False
        try:
            return original(self, *given)
        finally:
            self._is_unsettled = is_unsettled

    return changed(Audit, "_judge", judge)


def trust_range() -> AbstractContextManager[None]:
    """What a range does not show is missing: nobody looks for it under its id."""
    original = Audit._process_page

    def process_page(self: Any, asked: Any, run: Any, *given: Any) -> Any:
        effects = original(self, asked, run, *given)
        if not self._hidden:
            return effects
        _, chain, now = given
        read = self._ask_hidden(run, now)
        return [*effects, *self.process(ev.RowsRead(read.token, ()), chain, now)]

    return changed(Audit, "_process_page", process_page)


def judge_unknown_epochs() -> AbstractContextManager[None]:
    original = judging.judge_unknown

    def judge(*given: Any) -> Any:
        judged = original(*given)
        if judged.standing is Standing.UNKNOWN_EPOCH:
            return Judgement(Standing.FALSE, judged.reason)
        return judged

    return changed(audit, "judge_unknown", judge)


def read_while_writing() -> AbstractContextManager[None]:
    return changed(Machine, "_may_audit", lambda self, now: self._writing.store is not None)


def audit_all_the_time() -> AbstractContextManager[None]:
    return changed(Audit, "_find_next_ms", lambda self, what, every_ms, now: now.mono_ms + 5_000)


def read_before_writing() -> AbstractContextManager[None]:
    original = Writing.take_batch

    def write(self: Any, now: Now) -> None:
        rows = original(self._writing, now)
        if rows:
            ids = tuple(row.id for row in rows)
            self._effects.append(ev.ReadRows(-1, None, ids, AUDIT_READ_MS))
            self._effects.append(ev.Write(rows))

    return changed(Storing, "write", write)
