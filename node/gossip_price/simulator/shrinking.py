"""The least of a bad day that still breaks a checker: step by step less, while it still does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from gossip_price.simulator.plan import CAP_S, Plan
from gossip_price.simulator.run import Outcome

Run = Callable[[Plan], Outcome]
_T = TypeVar("_T")

#: Days that are tried at most: a short one takes a fifth of a second, one of many hours seconds.
_TRIES_MAX: Final = 300


def shrink(plan: Plan, checker: str, run: Run) -> Plan:
    """Leave out of a plan whatever the checker does not need to say no, until all is needed.

    `run` must run a plan as it was run when the checker said no, with the same signatures.
    """
    tries = 0
    while True:
        before, position = plan, 0
        while position < len(steps := list_smaller(plan)):
            if tries == _TRIES_MAX:
                return plan
            tries += 1
            if any(found.checker == checker for found in run(steps[position]).violations):
                plan = steps[position]  # what came next has this position now
            else:
                position += 1
        if plan == before:
            return plan


def list_smaller(plan: Plan) -> list[Plan]:
    """Return the plans that are one step smaller: what shortens the search most comes first."""
    liars = plan.liars
    rounds = sorted({max(1, plan.rounds // 2), plan.rounds - 1} - {0, plan.rounds})
    return [
        *(_end_after(plan, fewer) for fewer in rounds),
        *(plan._replace(changes=fewer) for fewer in _leave_out_each(plan.changes)),
        *(plan._replace(liars=fewer) for fewer in _leave_out_each(liars)),
        *(plan._replace(faults=fewer) for fewer in _leave_out_each(plan.faults)),
        *(plan._replace(dated=fewer) for fewer in _leave_out_each(plan.dated)),
        *(
            plan._replace(liars=(*liars[:i], liar._replace(habits=fewer), *liars[i + 1 :]))
            for i, liar in enumerate(liars)
            for fewer in _leave_out_each(liar.habits)
        ),
        *([plan._replace(settle_cap=CAP_S)] if plan.settle_cap != CAP_S else []),
    ]


def _leave_out_each(parts: tuple[_T, ...]) -> list[tuple[_T, ...]]:
    return [(*parts[:i], *parts[i + 1 :]) for i in range(len(parts))]


def _end_after(plan: Plan, rounds: int) -> Plan:
    """Return the plan with fewer rounds; nothing goes wrong after the last one."""
    shorter = plan._replace(rounds=rounds)
    return shorter._replace(
        faults=tuple(
            fault._replace(end_ms=min(fault.end_ms, shorter.calm_ms))
            for fault in plan.faults
            if fault.start_ms < shorter.calm_ms
        )
    )
