"""`gossip-price simulate`: what people run, in processes of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pytest

from gossip_price.cli import run, simulate
from gossip_price.simulator.checkers.checker import Violation
from gossip_price.simulator.mutants import MUTANTS
from gossip_price.simulator.plan import Plan
from gossip_price.simulator.run import Outcome, run_plan
from gossip_price.simulator.scheme import CHEAP, REAL


def test_seeds_are_spread_over_processes_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seeds", "3", "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert "3 seeds from 0" in said
    assert "everything held" in said


def test_who_failed_is_told_with_all_that_shows_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schemes = []

    def fail(plan: Plan, **given: Any) -> Outcome:
        schemes.append(given.get("scheme", REAL))
        violation = Violation("votes", plan.begin_ms, 0, "signed twice")
        return run_plan(plan, **given)._replace(violations=(violation,))

    monkeypatch.setattr(simulate, "run_plan", fail)
    given = ["--members", "4", "--mode", "Rounds", "--interval", "15", "--days", "0.001"]
    again = " ".join([*given, "--faults", "kill,slow"])
    assert run(["simulate", "--seeds", "1", "--jobs", "1", *again.split()]) == 1
    assert f"gossip-price simulate --seed 0 {again}   (votes)" in capsys.readouterr().out
    schemes.clear()
    assert run(["simulate", "--seed", "0", *again.split(), "--cheap"]) == 1
    # What was seen with cheap signatures is looked for with them.
    assert set(schemes) == {CHEAP}
    said = capsys.readouterr().out
    assert f'one line in tests/sim/seeds.py: "--seed 0 {again} --cheap": "…",' in said


class InThisProcess:
    """A pool that hands over what a real one could, without starting a process."""

    def Pool(self, jobs: int) -> InThisProcess:  # noqa: N802  # multiprocessing's name
        return self

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *given: object) -> None: ...

    def imap(self, work: Callable[[int], Any], numbers: Iterable[int]) -> Iterator[Any]:
        return (pickle.loads(pickle.dumps(work(number))) for number in numbers)  # noqa: S301  # ours


class Case(NamedTuple):
    name: str
    seeds: int
    code: int
    told: str


@pytest.mark.parametrize(
    "case",
    [
        Case("forget votes on restart", 1, 0, "forget votes on restart: 1"),
        # Made by a lambda, which cannot leave the process that tried it; its fate can.
        Case("forget the journal's birth", 0, 1, "forget the journal's birth: not in 0"),
    ],
)
def test_what_became_of_each_deliberate_bug_is_told(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = tuple(mutant for mutant in MUTANTS if mutant.name == case.name)
    monkeypatch.setattr(simulate, "MUTANTS", chosen)
    monkeypatch.setattr(simulate, "_MUTANT_SEEDS_MAX", case.seeds)
    monkeypatch.setattr(simulate, "get_context", lambda kind: InThisProcess())
    assert run(["simulate", "--mutants"]) == case.code
    assert case.told in capsys.readouterr().out
