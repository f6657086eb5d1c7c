"""What is shown of a failing day is the least that still fails, and fails in the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gossip_price.network.document import Mode
from gossip_price.simulator import shrinking
from gossip_price.simulator.changes import Change
from gossip_price.simulator.checkers import Violation
from gossip_price.simulator.checkers.liveness import Counts
from gossip_price.simulator.faults import Fault
from gossip_price.simulator.mutants import MUTANTS, catch
from gossip_price.simulator.plan import START_MS, LiarPlan, Plan
from gossip_price.simulator.run import Outcome, run_plan
from gossip_price.simulator.shrinking import Run, list_smaller, shrink
from gossip_price.simulator.timeline import render_plan

ROUND_MS = 15_000
KILL = Fault("kill", START_MS + 2 * ROUND_MS, START_MS + 20 * ROUND_MS, 1, 0, ())
SLOW = Fault("slow", START_MS + ROUND_MS, START_MS + 3 * ROUND_MS, -1, 200, ())
LATE = Fault("loss", START_MS + 9 * ROUND_MS, START_MS + 10 * ROUND_MS, -1, 100, ())
MORE, AGAIN = Change((0, 1, 2, 3, 4), 15), Change((0, 1, 2, 3), 15)
BAD_DAY = Plan(
    seed=1, members=4, nodes=5, changes=(MORE, AGAIN), dated=(0,), mode=Mode.ROUNDS, interval=15,
    rounds=12, clocks=((0, 0),) * 5, latency_ms=20, jitter_ms=0, fetch_ms=30,
    liars=(LiarPlan(2, ("replay", "flood", "forge")), LiarPlan(3, ("withhold",))),
    faults=(SLOW, KILL, LATE),
)  # fmt: skip


def fail_if(breaks: Callable[[Plan], bool]) -> Run:
    """Return a run in which the checker of votes objects to such plans, and another to all."""

    def run(plan: Plan) -> Outcome:
        said = ("cost", "votes") if breaks(plan) else ("cost",)
        violations = tuple(Violation(name, plan.begin_ms, 0, "no") for name in said)
        return Outcome(plan, "", 0, violations, Counts(0, 0, 0, 0, 0), 0, {}, 0)

    return run


def get_nodes(plan: Plan) -> set[int]:
    return {liar.node for liar in plan.liars}


@pytest.mark.parametrize(
    ("breaks", "least"),
    [
        (lambda _: True, {}),
        (lambda plan: plan.rounds >= 5, {"rounds": 5}),
        (lambda plan: SLOW in plan.faults, {"rounds": 3, "faults": (SLOW,)}),
        (lambda plan: AGAIN in plan.changes, {"changes": (AGAIN,)}),
        (lambda plan: plan.dated, {"dated": (0,)}),
        (
            lambda plan: any("flood" in liar.habits for liar in plan.liars),
            {"liars": (LiarPlan(2, ("flood",)),)},
        ),
        # It is enough that somebody is no honest member.
        (lambda plan: 3 in get_nodes(plan), {"liars": (LiarPlan(3, ()),)}),
        # The change can go only when what comes after it in a pass, the liar, is gone.
        (lambda plan: not plan.liars or MORE in plan.changes, {}),
    ],
)  # fmt: skip
def test_only_what_the_checker_needs_is_left(
    breaks: Callable[[Plan], bool], least: dict[str, object]
) -> None:
    nothing = BAD_DAY._replace(rounds=1, changes=(), dated=(), liars=(), faults=())
    assert shrink(BAD_DAY, "votes", fail_if(breaks)) == nothing._replace(**least)  # type: ignore[arg-type]  # any of its fields


def test_a_shorter_day_ends_what_goes_wrong_with_its_last_round() -> None:
    shortest = shrink(BAD_DAY, "votes", fail_if(lambda plan: "kill" in str(plan.faults)))
    assert shortest.rounds == 3
    assert shortest.faults == (KILL._replace(end_ms=shortest.calm_ms),)


def test_a_day_full_of_faults_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def breaks(plan: Plan) -> bool:
        tried.append(plan)
        return False

    monkeypatch.setattr(shrinking, "_TRIES_MAX", 7)
    assert shrink(BAD_DAY, "votes", fail_if(breaks)) == BAD_DAY
    assert len(tried) == 7


def test_a_liar_without_a_habit_is_told_as_one() -> None:
    plan = BAD_DAY._replace(liars=(LiarPlan(3, ()),))
    assert "node 3 lies: signs what it proposes alone" in render_plan(plan)


def test_the_least_day_of_a_real_bug_breaks_the_same_checker_and_no_smaller_one_does() -> None:
    mutant = next(one for one in MUTANTS if one.name == "forget votes on restart")
    caught = catch(mutant, 1).outcome
    assert caught is not None

    def run(plan: Plan) -> Outcome:
        return run_plan(plan, bug=mutant.make(), hashed=False)

    def is_caught(plan: Plan) -> bool:
        return mutant.checker in {violation.checker for violation in run(plan).violations}

    least = shrink(caught.plan, mutant.checker, run)
    assert least != caught.plan
    assert is_caught(least)
    assert not any(map(is_caught, list_smaller(least)))
