"""SIGKILL at every boundary of the sign and store paths, hundreds of times: quick nodes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from faults.fault_network import MARKS
from faults.fault_table import report
from faults.island import DOOMED_S, Island
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

#: Kills at each of the fourteen marks: 210 at least; lives that do not come to theirs come on top.
EACH: Final = 15


def test_killed_at_every_mark_nothing_is_lost_doubled_or_contradicted(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """Four real engines, journals, signers and stores; every mark has its fifteen kills."""
    dice = random.Random(20261125)  # noqa: S311 - a seed, not a secret
    island = Island(place, postgres, template)
    try:
        kills = island.kill_at_marks(dice, each=EACH, doomed_s=DOOMED_S, deadline_s=300)
        island.heal()
        island.calm_down()
        verdict = island.finish()
        assert sum(kills.values()) >= 200
        injected = f"{sum(kills.values())} at {len(MARKS)} marks"
        report("SIGKILL at a mark, quick nodes", injected, verdict)
    finally:
        island.close()
