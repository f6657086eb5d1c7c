"""Each deliberate bug is caught, by the checker whose promise it breaks, and only the bug is."""

from __future__ import annotations

import pytest

from gossip_price import crypto
from gossip_price.core import checks
from gossip_price.simulator.mutants import MUTANTS, Mutant, catch
from gossip_price.simulator.run import run_plan
from sim.seeds import FIRST_SEED_OF_MUTANT

#: From the table's seed on, so few are needed; a new draw of plans may move it a little.
SEEDS_MAX = 3


@pytest.mark.parametrize(
    "mutant",
    MUTANTS,
    ids=lambda mutant: mutant.name,
)
def test_a_deliberate_bug_is_caught_where_nothing_is_without_it(mutant: Mutant) -> None:
    caught = catch(mutant, SEEDS_MAX, FIRST_SEED_OF_MUTANT.get(mutant.name, 0))
    assert caught.outcome is not None, (
        f"{mutant.checker} has not caught it; where else is it? gossip-price simulate --mutants"
    )
    # The very same day, sound: what was caught is the bug.
    assert run_plan(caught.outcome.plan, hashed=False).violations == ()


def test_a_bug_is_gone_when_its_run_is_over() -> None:
    before = dict(vars(checks))
    for mutant in MUTANTS:
        with mutant.make():
            pass
    assert dict(vars(checks)) == before
    assert checks.recover is crypto.recover  # type: ignore[attr-defined]  # where the core looks
