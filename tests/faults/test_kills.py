"""SIGKILL at every boundary of the sign and store paths, hundreds of times."""

from __future__ import annotations

import random
from pathlib import Path

from faults.fault_table import report
from faults.island import Island
from faults.watched import SIGN_MARKS, STORE_MARKS
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

EACH = 15


def test_killed_at_every_mark_nothing_is_lost_doubled_or_contradicted(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """Four real engines, journals, signers and stores; every mark has its fifteen kills."""
    dice = random.Random(20261125)  # noqa: S311 - a seed, not a secret
    island = Island(place, postgres, template)
    try:
        kills = island.kill_at_marks(dice, each=EACH, deadline_s=240)
        island.heal()
        island.calm_down()
        verdict = island.finish()
        marks = len(SIGN_MARKS + STORE_MARKS)
        total = sum(kills.values())
        assert total >= 200
        report("SIGKILL at a mark (quick node)", f"{total} at {marks} marks", verdict)
    finally:
        island.close()
