"""An organisation becomes part of a network that is at work, as docs/operations.md tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.early import make_acme
from e2e.network import Network, make_network
from e2e.programs import find_own, run
from e2e.prover import prove
from e2e.rounds import check_no_round_lost, get_round

#: The document travels by hand here: to two namespaces, and on to every kubelet.
LEAD_S: Final = 60
#: Of the five members that the two have together; three of them are the first one's.
QUORUM: Final = 4


@pytest.fixture
def globex(cluster: Cluster) -> Iterator[Network]:
    """The newcomer's namespace, gone afterwards."""
    network = Network(cluster, "globex", "globex")
    network.make_namespace()
    yield network
    delete_namespace(network)


def test_an_organisation_joins_a_network_that_is_at_work(
    acme: Network, globex: Network, tmp_path: Path
) -> None:
    first, folders = get_round(), [tmp_path / f"node-{number}" for number in range(2)]
    for number, folder in enumerate(folders):
        run_own("keys", "new", "--folder", str(folder))
        files = [f"--from-file={folder / name}.key" for name in ("signing", "identity")]
        globex.kubectl("create", "secret", "generic", f"globex-keys-{number}", *files)
    members = [json.loads(run_own("keys", "show", "--folder", str(f), "--json")) for f in folders]

    document = tmp_path / "network.json"
    document.write_text(acme.get_document())
    added = [f"--add={member['address']},{member['peerId']}" for member in members]
    lead = f"--lead={LEAD_S}s"
    said = run_own("network", "next", str(document), *added, "--proven", lead)
    assert "appended   epoch 2" in said
    assert "remaining" not in said
    for network in (acme, globex):
        network.kubectl("create", "configmap", "shared", f"--from-file={document}")
    pods = {pod["metadata"]["uid"] for pod in acme.find_node_pods().values()}
    acme.apply(supply(make_acme()))
    keys = [{"node": number, "secretName": f"globex-keys-{number}"} for number in range(2)]
    newcomer = make_network("globex", nodes={"count": 2}, keys={"existing": keys})
    globex.apply(supply(newcomer))
    for network in (acme, globex):
        network.wait(deadline_s=420)
    assert {pod["metadata"]["uid"] for pod in acme.find_node_pods().values()} == pods

    # Each has every price in a database of its own, and none of them without the other's signers.
    newest = json.loads(document.read_text())["epochs"][-1]
    # Ready may both be before the epoch that has them as members begins.
    joined = max(get_round(), newest["start"] - 1)
    theirs = {member["address"] for member in members}
    roster = newest["members"]
    for network in (acme, globex):
        price = network.database.wait_for_price(after=joined)
        assert len(price.signers) >= QUORUM
        assert price.signers & theirs
        assert price.signers <= {member["address"] for member in roster}
        prove(network.database, document.read_text(), tmp_path)
    check_no_round_lost(acme, "another organisation joined", first)
    delete_namespace(acme)


def run_own(*arguments: str) -> str:
    """Run gossip-price as a person outside the cluster."""
    return run(find_own("gossip-price"), *arguments)


def supply(resource: Object) -> Object:
    """Return the resource with a supplied document, without what the document decides."""
    given = resource["spec"]
    spec = {key: part for key, part in given.items() if key not in ("pairs", "consensus")}
    spec["price"] = {key: part for key, part in given["price"].items() if key != "interval"}
    return {**resource, "spec": {**spec, "documentRef": {"name": "shared"}}}


def delete_namespace(network: Network) -> None:
    network.kubectl("delete", "namespace", network.namespace, "--wait=false")
