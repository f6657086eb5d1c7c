"""SIGKILL at every boundary of the sign and store paths: whole nodes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from faults.fault_network import MARKS
from faults.fault_table import report
from faults.real_network import RealNetwork
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

#: A whole node needs to find the others, a round, its settling, a roll call and a turn in writing.
REAL_DOOMED_S: Final = 30.0


def test_whole_nodes_killed_at_every_mark_come_back_and_agree(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """The same with libp2p, the price source and all that `gossip-price node` is."""
    dice = random.Random(4)  # noqa: S311 - a seed, not a secret
    network = RealNetwork(place, postgres, template)
    try:
        with network.disturbed("kills"):
            kills = network.kill_at_marks(dice, each=1, doomed_s=REAL_DOOMED_S, deadline_s=300)
            network.heal()
            healed = network.mark()
            for node in network.journals:
                network.wait_until_signing(node, healed)
        network.calm_down()
        injected = f"{sum(kills.values())} at {len(MARKS)} marks"
        report("SIGKILL at a mark, whole nodes", injected, network.finish())
    finally:
        network.close()
