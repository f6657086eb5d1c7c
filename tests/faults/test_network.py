"""Lost packets and a partition, between real nodes in namespaces of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from faults.fault_network import get_told
from faults.fault_table import report
from faults.namespaces import Namespaces
from faults.real_network import MEMBERS, RealNetwork
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

LOSS_PERCENT: Final = 20


def test_loss_and_partitions_delay_and_never_contradict(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """A fifth of all packets; then halves without a quorum; then one alone; then all is well."""
    with Namespaces(MEMBERS) as spaces:
        network = RealNetwork(place, postgres, template, spots=spaces.spots)
        try:
            network.start()
            with network.disturbed("loss"):
                before = network.mark()
                spaces.lose(LOSS_PERCENT)
                network.wait_for_told("stored", 4, after=before)
                spaces.heal()
            with network.disturbed("partition"):
                before = network.mark()
                spaces.part((0, 1), (2, 3))
                # Rounds are given up after a while: nobody has three signatures.
                network.wait_for_told("round_lost", 2 * MEMBERS, after=before)
                parted = network.mark()
                spaces.heal()
                for node in range(MEMBERS):
                    network.wait_until_signing(node, parted)
                network.wait_for_told("stored", 2, after=parted)
                before = network.mark()
                spaces.part((0,), (1, 2, 3))
                network.wait_for_told("stored", 4, after=before)
                alone = network.mark()
                spaces.heal()
                network.wait_until_signing(0, alone)
                proven = get_told(network.facts.all[alone:], "proven", 0)
                network.wait_for_told("proven", len(proven) + 1, node=0, after=alone)
            network.calm_down()
            report("20 % loss; two partitions, healed", "1 + 2", network.finish())
        finally:
            network.close()
