"""Lost packets and a partition, between real nodes in namespaces of their own."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Final

from faults.fault_table import report
from faults.journal_file import read_journal
from faults.namespaces import Namespaces
from faults.real_network import MEMBERS, RealNetwork
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

LOSS_PERCENT: Final = 20


def read_signers(network: RealNetwork, node: int) -> dict[bytes, frozenset[int]]:
    """Return who has signed what, by a node's journal."""
    proven = read_journal(network.journals[node]).proven
    return {id_: frozenset(members) for id_, (_, members, _) in proven.items()}


def is_agreed(network: RealNetwork, ids: Set[bytes]) -> bool:
    """Tell whether all nodes hold these, each with the same signers."""
    known = [read_signers(network, node) for node in range(MEMBERS)]
    return all(
        None not in held and len(held) == 1
        for held in ({signers.get(id_) for signers in known} for id_ in ids)
    )


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
                known = {id_ for node in range(MEMBERS) for id_ in read_signers(network, node)}
                assert known - read_signers(network, 0).keys(), "who was alone lacks nothing"
                spaces.heal()
                network.wait_until_signing(0, alone)
                network.wait_for(lambda _: is_agreed(network, known), "agreement of all journals")
            network.calm_down()
            report("20 % loss; two partitions, healed", "1 + 2", network.finish())
        finally:
            network.close()
