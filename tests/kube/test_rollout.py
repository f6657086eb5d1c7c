"""Nodes are changed one after another, never more down than can be spared, and only if changed."""

from __future__ import annotations

from kube_api import Api, eventually
from kube_cluster import Cluster
from kube_kubelet import Kubelet, find_most_down
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator

BROKEN = "gossip-price/node:broken"


async def test_a_new_image_goes_from_node_to_node(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    kubelet.started.clear()
    kubelet.active_history.clear()
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": "gossip-price/node:2"}}})
    await wait_ready(cluster, api)
    nodes = [name for name in kubelet.started if "-node-" in name]
    assert sorted(nodes) == [f"eth-node-{number}" for number in range(4)]
    assert find_most_down(kubelet) <= 1  # of 4 with 3 signers


async def test_a_rollout_that_gets_stuck_stops_and_goes_on_when_mended(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    kubelet.broken_images = {BROKEN}
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    kubelet.started.clear()
    kubelet.active_history.clear()
    # The migration's Job has the image too; this one runs, and only the nodes do not start.
    kubelet.broken_jobs = False
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": BROKEN}}})

    async def says_where() -> bool:
        told = await wait_condition(api, "NodesReady", "False")
        return "node 0: ImagePullBackOff: no such image" in told["message"]

    await eventually("it is told where the rollout is stuck", says_where)
    told = await wait_condition(api, "Reconciling", "True")
    assert "nodes 1, 2, 3" in told["message"]
    await wait_condition(api, "Ready", "False")
    assert kubelet.started == ["eth-node-0"]
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": "gossip-price/node:3"}}})
    await wait_ready(cluster, api)
    # The one that was down came first; nobody was taken down for it.
    assert kubelet.started[1] == "eth-node-0"
    assert find_most_down(kubelet) <= 1


async def test_with_none_to_spare_nodes_are_changed_singly_and_it_is_told(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create(
        "pricenetworks", make_network(count=3, consensus={"settle": "1s", "minimumSigners": 3})
    )
    await wait_ready(cluster, api)
    kubelet.active_history.clear()
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": "gossip-price/node:2"}}})
    told = await wait_condition(api, "Reconciling", "True", "RollingWithoutSpare")
    assert "one more node" in told["message"]
    await wait_ready(cluster, api)
    assert find_most_down(kubelet) <= 1


async def test_what_nodes_can_reload_restarts_nobody(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="2s"))
    await wait_ready(cluster, api)
    kubelet.started.clear()
    price = {"interval": "4s", "maxDeviation": "2%"}
    change = {"spec": {"price": price, "pairs": [{"name": "BTC-USD"}]}}
    await api.change("pricenetworks", "eth", change)
    network = await wait_ready(cluster, api, timeout_s=90)
    assert network["status"]["epoch"]["number"] >= 2

    async def is_told() -> bool:
        status = (await api.get("pricenetworks", "eth"))["status"]
        return bool(status["lastPrice"]["pair"] == "BTC-USD")

    await eventually("the new pair has a price", is_told)
    assert kubelet.started == []


async def test_a_restarted_operator_restarts_nobody_and_writes_nothing(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    before = await api.snapshot()
    generations = {
        found["metadata"]["name"]: found["metadata"]["generation"]
        for found in await api.list("deployments")
    }
    kubelet.started.clear()
    await operator.kill()
    await operator.start()

    async def is_active() -> bool:
        lease = await api.get("leases", "gossip-price-operator")
        return bool(lease["spec"]["leaseTransitions"] >= 0) and await operator.ask("/readyz") == 200

    await eventually("the operator is back", is_active)
    await api.delete("services", "eth-nodes")  # a sign that it looks again

    async def is_back() -> bool:
        return await api.find("services", "eth-nodes") is not None

    await eventually("the Service is back", is_back)
    await wait_ready(cluster, api)
    after = await api.snapshot()
    del before["services/eth-nodes"], after["services/eth-nodes"]
    assert after == before
    assert kubelet.started == []
    for found in await api.list("deployments"):
        assert found["metadata"]["generation"] == generations[found["metadata"]["name"]]
