"""Row 12: who is not listed hears nothing, who is listed takes part, and networks keep apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.network import Network, make_network
from e2e.programs import find_own, run
from e2e.prover import prove
from e2e.release import Release
from e2e.rounds import get_round
from e2e.stranger_node import StrangerNode, count_events, make_member_keys
from e2e.waiting import eventually

#: An epoch's document travels by hand here: to two namespaces, and on to every kubelet.
LEAD_S: Final = 60
#: All members of both organisations but one.
QUORUM: Final = 4


@pytest.fixture
def outsider(standing: Network, tmp_path: Path) -> Iterator[StrangerNode]:
    """A node with unknown keys that does all it can to take part."""
    node = StrangerNode(standing)
    node.start(tmp_path)
    yield node
    standing.patch_spec(access=None)
    node.stop()
    standing.wait()


def test_a_node_with_an_unknown_key_hears_nothing_and_signs_nothing(
    standing: Network, outsider: StrangerNode
) -> None:
    places = [pod["status"]["podIP"] for pod in standing.list_pods("bootstrap")]
    for place in places:
        outsider.connect(place)  # no policy is in its way
    bootstrap = standing.list_pods("bootstrap")[0]["metadata"]["name"]
    eventually("it is refused", lambda: count_events(standing, bootstrap, "refused_peers") > 0)
    first = get_round()
    standing.database.wait_for_price(after=first)
    status = outsider.ask_status()
    assert (status["role"], status["peers"]["connected"]) == ("listener", 0)
    assert status["prices"] == []
    assert outsider.count("delivered") == 0

    # Listed as a listener, the same node hears every price, and still signs none.
    standing.patch_spec(access={"peers": {"listeners": [outsider.peer_id]}})
    heard = eventually("it hears a price", lambda: outsider.ask_status()["prices"], 300)
    last: int = heard[0]["round"]
    assert last > first
    standing.database.wait_for_price(after=last)
    signers = {signer for price in standing.database.read() for signer in price.signers}
    assert signers
    assert outsider.address not in signers


@dataclass(frozen=True)
class Organisation:
    """A network's part that one organisation runs, and what it is known by."""

    network: Network
    resource: Object

    def list_peers(self) -> set[str]:
        """Return the peer ids that it runs: those that it made keys for, and those given to it."""
        pods = [*self.network.list_pods("node"), *self.network.list_pods("bootstrap")]
        return {self.network.ask_status(pod["metadata"]["name"])["peerId"] for pod in pods}

    def list_met(self) -> set[str]:
        """Return the peer ids that its nodes are connected to."""
        names = [pod["metadata"]["name"] for pod in self.network.list_pods("node")]
        met: set[str] = set()
        for name in names:
            met |= set(self.network.ask_status(name)["peers"]["ids"])
        return met

    def list_signers(self) -> set[str]:
        """Return whose signatures are in its database."""
        return {signer for price in self.network.database.read() for signer in price.signers}


@pytest.fixture
def organisations(
    cluster: Cluster, release: Release
) -> Iterator[tuple[Organisation, Organisation]]:
    """Two namespaces, gone afterwards; in the first a network of three that its operator leads."""
    acme = Organisation(Network(cluster, "acme", "acme"), make_network("acme", nodes={"count": 3}))
    globex = Organisation(Network(cluster, "globex", "globex"), make_network("globex"))
    for organisation in (acme, globex):
        organisation.network.make_namespace()
    acme.network.apply(acme.resource)
    acme.network.wait()
    acme.network.database.wait_for_price()
    yield acme, globex
    for organisation in (acme, globex):
        organisation.network.database.close()
        name = organisation.network.namespace
        cluster.kubectl("delete", "namespace", name, "--timeout=4m", deadline_s=270)


def test_an_organisation_joins_by_being_listed_and_two_networks_never_mix(
    standing: Network, organisations: tuple[Organisation, Organisation], tmp_path: Path
) -> None:
    acme, globex = organisations
    members = [make_member_keys(tmp_path / str(number)) for number in range(2)]
    for number in range(2):
        files = [
            f"--from-file={tmp_path / str(number) / name}.key" for name in ("signing", "identity")
        ]
        globex.network.kubectl("create", "secret", "generic", f"globex-keys-{number}", *files)
    document = tmp_path / "network.json"
    document.write_text(acme.network.get_document())
    listed = [word for address, peer_id in members for word in ("--add", f"{address},{peer_id}")]
    next_ = (find_own("gossip-price"), "network", "next", str(document), "--proven")
    assert "appended   epoch 2" in run(*next_, f"--lead={LEAD_S}s", *listed)
    for organisation in (acme, globex):
        organisation.network.kubectl("create", "configmap", "shared", f"--from-file={document}")
    existing = [{"node": number, "secretName": f"globex-keys-{number}"} for number in range(2)]
    acme.network.apply(supply(acme.resource))
    globex.network.apply(supply(globex.resource, nodes={"count": 2}, keys={"existing": existing}))
    for organisation in (acme, globex):
        organisation.network.wait(deadline_s=420)

    joined = get_round()
    stored = [o.network.database.wait_for_price(after=joined) for o in (acme, globex)]
    ours = {address for address, _ in members}
    for organisation, price in zip((acme, globex), stored, strict=True):
        assert len(price.signers) >= QUORUM
        assert price.signers & ours
        prove(organisation.network.database, document.read_text(), tmp_path)
    own = Organisation(standing, {})
    standing.database.wait_for_price(after=joined)
    insiders = acme.list_peers() | globex.list_peers()
    assert acme.list_met() | globex.list_met() <= insiders
    assert own.list_met() <= own.list_peers()
    roster = {
        member["address"] for member in json.loads(document.read_text())["epochs"][-1]["members"]
    }
    assert ours < roster
    assert acme.list_signers() | globex.list_signers() <= roster
    assert own.list_signers().isdisjoint(roster)


def supply(resource: Object, **spec: Object) -> Object:
    """Return the resource without what the shared document decides."""
    kept = {
        key: part for key, part in resource["spec"].items() if key not in ("pairs", "consensus")
    }
    kept["price"] = {key: part for key, part in kept["price"].items() if key != "interval"}
    return {**resource, "spec": {**kept, **spec, "documentRef": {"name": "shared"}}}
