"""What gossip loses, healing brings: with links that lose all day and every signature needed.

No checker shows it. Liveness promises nothing while links lose, for no bound holds whatever is
lost; so here the reports that get stored are counted, with healing and without.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from typing import Final

import pytest

from gossip_price.core.healing import Healing
from gossip_price.network.document import Mode
from gossip_price.simulator.bugs.change import change_all, changed
from gossip_price.simulator.facts import Moment, Row, Told, Watcher
from gossip_price.simulator.faults import Fault
from gossip_price.simulator.plan import LiarPlan, Options, Plan, make_plan
from gossip_price.simulator.run import make_first, make_members, run_plan

#: As many as a quorum has at least: each report needs the signature of every one.
_MEMBERS: Final = 3
_ROUNDS: Final = 20
#: In `EveryNode` each member proposes in each round, and votes cannot split between proposers.
_REPORTS: Final = _MEMBERS * _ROUNDS
#: Of every thousand messages, questions and answers.
_LOST_PERMILLE: Final = 300
#: Without healing fewer are stored than this: those of which gossip happened to bring everything.
_UNHEALED_MAX: Final = _REPORTS * 9 // 10


class Stored(Watcher):
    """The ids of what the first members proposed and was stored, of rounds in which links lost."""

    def __init__(self, plan: Plan) -> None:
        self.ids: set[bytes] = set()
        self._calm_ms = plan.calm_ms
        self._proposers = make_first(plan, make_members(plan)[1]).addresses[:_MEMBERS]

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            if row.claim.proposer in self._proposers and row.claim.round * 1000 < self._calm_ms:
                self.ids.add(row.id)


class Asked(Watcher):
    """How often each node asked the liar for what it named."""

    hears_of = frozenset({"asked"})

    def __init__(self, plan: Plan) -> None:
        self.asked: Counter[int] = Counter()
        self._liar = make_members(plan)[1][_MEMBERS].peer_id

    def told(self, at: Moment, node: int, told: Told) -> None:
        if told.author == self._liar:
            self.asked[node] += 1


def make_losing_plan(seed: int) -> Plan:
    """Return a day of which nothing is bad but that links lose, from its beginning to its end."""
    options = Options(
        members=_MEMBERS, mode=Mode.EVERY_NODE, interval=60, rounds=_ROUNDS, faults=(), liars=False
    )
    plan = make_plan(seed, options)
    loss = Fault("loss", plan.begin_ms, plan.calm_ms, -1, _LOST_PERMILLE, ())
    return plan._replace(faults=(loss,))


def add_liar(plan: Plan, habit: str) -> Plan:
    """Return the plan with one member more, which signs no other's report and does this all day."""
    options = Options(
        members=_MEMBERS + 1, mode=plan.mode, interval=plan.interval, rounds=_ROUNDS, faults=()
    )
    larger = make_plan(plan.seed, options)
    return larger._replace(faults=plan.faults, liars=(LiarPlan(_MEMBERS, (habit,)),))


def heal_nothing() -> AbstractContextManager[None]:
    """A deliberate bug: nobody is ever asked for what gossip lost."""
    return change_all(
        changed(Healing, "take_question", lambda *_: None),
        changed(Healing, "get_deadline_ms", lambda _: None),
    )


def ask_anew() -> AbstractContextManager[None]:
    """A deliberate bug: who breaks its promise is asked again at once."""
    return changed(Healing, "_back_off", lambda *_: None)


@pytest.mark.parametrize("seed", range(6))
def test_every_report_is_stored_where_links_lose_only_because_of_healing(seed: int) -> None:
    plan = make_losing_plan(seed)
    assert make_first(plan, make_members(plan)[1]).minimum_signers == _MEMBERS
    healed, unhealed = Stored(plan), Stored(plan)
    outcome = run_plan(plan, watchers=(healed,), hashed=False)
    run_plan(plan, watchers=(unhealed,), bug=heal_nothing(), hashed=False)
    assert outcome.violations == ()
    assert len(healed.ids) == _REPORTS
    assert 0 < len(unhealed.ids) < _UNHEALED_MAX


@pytest.mark.parametrize("seed", range(6))
def test_who_promises_what_it_does_not_have_is_asked_seldom_and_keeps_nobody_else_waiting(
    seed: int,
) -> None:
    plan = add_liar(make_losing_plan(seed), "overstate")
    assert make_first(plan, make_members(plan)[1]).minimum_signers == _MEMBERS
    healed, patient, impatient = Stored(plan), Asked(plan), Asked(plan)
    outcome = run_plan(plan, watchers=(healed, patient), hashed=False)
    run_plan(plan, watchers=(impatient,), bug=ask_anew(), hashed=False)
    assert outcome.violations == ()
    assert len(healed.ids) == _REPORTS
    assert len(patient.asked) == _MEMBERS
    assert 2 * patient.asked.total() < impatient.asked.total()
