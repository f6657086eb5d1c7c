"""Nodes come and go by the design's order, and the quorum holds while they do."""

from __future__ import annotations

import json

from kube_api import Api, eventually
from kube_cluster import Cluster
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator


async def read_file(api: Api) -> dict[str, object]:
    data = (await api.get("configmaps", "eth-network"))["data"]
    file: dict[str, object] = json.loads(data["network.json"])
    return file


async def test_scaled_up_down_and_up_again_the_identities_return(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="2s"))
    await wait_ready(cluster, api)
    kubelet.active_history.clear()
    await cluster.kubectl("scale", "-n", api.namespace, "pn/eth", "--replicas=6")
    network = await wait_ready(cluster, api, timeout_s=90)
    assert network["status"]["epoch"]["members"] == 6
    identity = (await api.get("secrets", "eth-node-5"))["data"]

    await cluster.kubectl("scale", "-n", api.namespace, "pn/eth", "--replicas=4")
    network = await wait_ready(cluster, api, timeout_s=90)
    assert network["status"]["epoch"]["members"] == 4
    assert await api.list_names("deployments") == {f"eth-node-{number}" for number in range(4)}
    assert (await api.get("secrets", "eth-node-5"))["data"] == identity
    assert "eth-node-5" in await api.list_names("persistentvolumeclaims")

    await cluster.kubectl("scale", "-n", api.namespace, "pn/eth", "--replicas=6")
    network = await wait_ready(cluster, api, timeout_s=90)
    assert (await api.get("secrets", "eth-node-5"))["data"] == identity
    # Never fewer active members than the quorum of the epoch in force.
    short = [seen for seen in kubelet.active_history if seen[0] < seen[1]]
    assert short == []
    # Nobody who was there from the first was restarted.
    for number in range(4):
        assert kubelet.started.count(f"eth-node-{number}") == 1


async def test_a_newcomer_that_never_gets_ready_is_never_made_a_member(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="2s"))
    await wait_ready(cluster, api)
    kubelet.is_paused = True
    await cluster.kubectl("scale", "-n", api.namespace, "pn/eth", "--replicas=5")

    async def is_made() -> bool:
        return "eth-node-4" in await api.list_names("deployments")

    await eventually("the newcomer is made", is_made)
    told = await wait_condition(api, "Reconciling", "True")
    assert "node 4" in told["message"]
    file = await read_file(api)
    epochs, peers = file["epochs"], file["peers"]
    assert isinstance(epochs, list)
    assert isinstance(peers, dict)
    assert len(epochs) == 1
    assert len(peers["admitted"]) == 1
    kubelet.is_paused = False
    await wait_ready(cluster, api, timeout_s=90)


async def test_a_count_that_no_quorum_can_hold_is_refused(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    before = await api.snapshot()
    answer = await api.patch("pricenetworks", "eth", {"spec": {"nodes": {"count": 2}}})
    if answer.status_code == 200:  # past the schema: then the operator refuses
        told = await wait_condition(api, "Stalled", "True", "InvalidSpec")
        assert "spec.nodes.count" in told["message"]
    else:
        assert answer.status_code == 422, answer.text
    assert await api.snapshot() == before
