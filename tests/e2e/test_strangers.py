"""Row 12: who is not listed hears nothing; networks do not mix; organisations can share one."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.federation import Federation
from e2e.network import Network
from e2e.prover import prove
from e2e.rounds import get_round
from e2e.unknown_node import UnknownNode
from e2e.waiting import eventually


def test_a_node_with_an_unknown_key_hears_nothing_until_it_is_listed(
    standing: Network, tmp_path: Path
) -> None:
    unknown = UnknownNode(standing, tmp_path)
    unknown.start()
    standing.database.wait_for_price(after=get_round() + 15)
    said = unknown.ask_status()
    assert (said["peers"]["connected"], said["prices"], said["role"]) == (0, [], "listener")
    # Only its key was in the way: listed, it hears all; and no longer listed, it is cut off.
    standing.patch_spec(access={"peers": {"listeners": [unknown.peer_id]}})
    eventually("it is let in and hears prices", lambda: unknown.ask_status()["prices"], 180)
    standing.patch_spec(access=None)
    eventually("it is cut off", lambda: unknown.ask_status()["peers"]["connected"] == 0, 120)
    unknown.stop()
    members = find_members(standing)
    assert all(price.signers <= members for price in standing.database.read())


def test_two_organisations_share_a_network_and_no_other_mixes_in(
    federation: Federation, standing: Network, tmp_path: Path
) -> None:
    for network in federation.networks:
        network.wait()
    first = get_round()
    for network in federation.networks:
        price = network.database.wait_for_price(after=first)
        assert len(price.signers) >= 3  # neither organisation has more than two
        prove(network.database, federation.document, tmp_path)
    stored = [
        {price.id for price in network.database.read() if price.round > first}
        for network in federation.networks
    ]
    assert set.intersection(*stored)
    shared = set.union(
        *(set(network.read_identities().values()) for network in federation.networks)
    )
    shared |= {
        member["peerId"] for member in json.loads(federation.document)["epochs"][0]["members"]
    }
    for network in federation.networks:
        check_meets_only(network, shared)
    check_meets_only(standing, set(standing.read_identities().values()))
    federation.stop()


def check_meets_only(network: Network, peers: set[str]) -> None:
    """Every node of the network is connected to some of `peers` and to nobody else."""
    for pod in network.find_node_pods().values():
        met = set(network.ask_status(pod["metadata"]["name"])["peers"]["ids"])
        assert met
        assert met <= peers


def find_members(network: Network) -> set[str]:
    """Return the addresses of all members that the network ever had."""
    epochs = json.loads(network.get_document())["epochs"]
    return {member["address"] for document in epochs for member in document["members"]}
