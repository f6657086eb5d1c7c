"""Epochs that change in a bad day: announced on the planner's way, heard late, or never."""

from __future__ import annotations

import pytest

from gossip_price.simulator.facts import Law, Moment, Row, Told, Watcher
from gossip_price.simulator.plan import Options, make_plan
from gossip_price.simulator.run import Outcome, run_plan
from gossip_price.simulator.timeline import render_plan, render_violation

#: Days that grow, shrink, rotate a key, change the interval, the threshold and the protocol.
SEEDS = (1, 2, 5, 6, 8, 11, 14, 20)


class Changes(Watcher):
    """What the epochs were, in which of them rows were stored, and who heard late."""

    def __init__(self) -> None:
        self.laws: list[Law] = []
        self.rows: dict[bytes, int] = {}
        self.late = 0

    def enacted(self, at: Moment, law: Law) -> None:
        self.laws.append(law)

    def told(self, at: Moment, node: int, told: Told) -> None:
        law = next((law for law in self.laws if law.epoch == told.id), None)
        if told.kind == "epoch_known" and law is not None:
            self.late += at.true_ms > law.start * 1000

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            self.rows[row.claim.epoch] = self.rows.get(row.claim.epoch, 0) + 1


def run(seed: int, **fixed: object) -> tuple[Outcome, Changes]:
    changes = Changes()
    plan = make_plan(seed, Options(epochs=True, **fixed))  # type: ignore[arg-type]  # any of its fields
    outcome = run_plan(plan, watchers=(changes,))
    lines = [render_plan(plan), *(render_violation(one) for one in outcome.violations)]
    assert not outcome.violations, "\n".join(lines)
    return outcome, changes


def test_epochs_in_bad_days_break_no_promise_and_there_are_all_kinds() -> None:
    laws: list[Law] = []
    late, most, stored = 0, 0, 0
    for seed in SEEDS:
        _, changes = run(seed)
        laws += changes.laws
        late += changes.late
        most = max(most, len(changes.laws))
        stored += sum(law.epoch in changes.rows for law in changes.laws)
    assert len(laws) >= 12
    assert most >= 3, "no day had a way through epochs between"
    assert late >= 10, "nobody heard late"
    assert stored >= 12, "few epochs had rows"
    assert {len(law.addresses) for law in laws} >= {4, 5, 6}
    assert {law.interval for law in laws} >= {15, 600}
    assert {law.protocol for law in laws} == {1, 2}


@pytest.mark.parametrize("seed", range(4))
def test_a_round_is_lost_only_to_those_who_hear_late(seed: int) -> None:
    """Little else goes wrong; of what is promised the last may be on its way at the end."""
    outcome, _ = run(seed, faults=("slowsource",), liars=False, rounds=24)
    counts = outcome.liveness
    assert counts.promised >= 10
    assert counts.stored + counts.split >= counts.promised - 1


def test_the_mode_the_settle_time_and_the_pairs_change_in_bad_days() -> None:
    stored: set[bool] = set()
    settles: set[int] = set()
    digits: set[tuple[str, int]] = set()
    for seed in (0, 2, 3, 6, 9, 1080):
        _, changes = run(seed, turns=True)
        stored |= {law.every_node for law in changes.laws if law.epoch in changes.rows}
        settles |= {law.settle for law in changes.laws}
        digits |= {(pair, one.decimals) for law in changes.laws for pair, one in law.digits.items()}
    assert stored == {True, False}
    assert len(settles) >= 2
    assert {("BTC-USD", 2), ("ETH-USD", 6), ("ETH-USD", 8)} <= digits
