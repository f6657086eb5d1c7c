"""Seeds that always run: nothing that the protocol promises was broken in any of them."""

from __future__ import annotations

import pytest

from gossip_price.cli import run
from gossip_price.cli.simulate import HELD
from gossip_price.network.document import Mode
from gossip_price.simulator.plan import Options, make_plan
from gossip_price.simulator.run import Outcome, run_plan, run_seed
from gossip_price.simulator.timeline import render_plan, render_violation
from sim.seeds import ALWAYS, FAILED


def explain(outcome: Outcome) -> str:
    lines = [render_violation(violation) for violation in outcome.violations]
    return "\n".join([render_plan(outcome.plan), *lines])


@pytest.mark.parametrize("seed", ALWAYS)
def test_a_bad_day_breaks_no_promise(seed: int) -> None:
    outcome = run_seed(seed)
    assert not outcome.violations, explain(outcome)


@pytest.mark.parametrize("given", FAILED, ids=lambda given: f"{given}: {FAILED[given]}")
def test_what_once_failed_holds(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["simulate", *given.split()])
    assert code == HELD, capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("habits", [(), ("trees", "sign_late")], ids=["honest", "lying trees"])
def test_who_was_away_for_hours_agrees_with_all_in_the_end(
    seed: int, habits: tuple[str, ...]
) -> None:
    fixed = Options(long=True, faults=("away", "partition", "loss"), habits=habits)
    outcome = run_seed(seed, fixed)
    assert not outcome.violations, explain(outcome)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("members", [4, 7])
def test_on_a_good_day_every_round_is_promised_and_stored(mode: Mode, members: int) -> None:
    fixed = Options(members=members, mode=mode, interval=15, rounds=12, faults=(), liars=False)
    outcome = run_plan(make_plan(1, fixed))
    assert not outcome.violations, explain(outcome)
    counts = outcome.liveness
    assert counts.promised == counts.rounds >= 12
    assert counts.split == 0
    assert counts.slowest_ms < 35_000
