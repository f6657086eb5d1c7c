"""Many networks beside each other: no name, label or namespace of one is another's."""

from __future__ import annotations

import pytest

from kube_api import Api, eventually
from kube_cluster import Cluster
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_ready
from kube_operator import Operator

LONG = "a" * 60


async def test_networks_with_long_and_confusable_names_live_side_by_side(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    listed = ["eth", "eth-node-1", f"{LONG}-b1", f"{LONG}-b2"]
    for name in listed:
        await api.create("pricenetworks", make_network(name, interval="24h", count=3))
    for name in listed:
        await wait_ready(cluster, api, name)
    owners: dict[str, set[str]] = {}
    for deployment in await api.list("deployments"):
        (owner,) = deployment["metadata"]["ownerReferences"]
        owners.setdefault(owner["name"], set()).add(deployment["metadata"]["name"])
    assert {name: len(found) for name, found in owners.items()} == dict.fromkeys(listed, 3)
    ids = {(await api.get("pricenetworks", name))["status"]["networkId"] for name in listed}
    assert len(ids) == len(listed)


@pytest.mark.parametrize("is_all", [True, False], ids=["all", "two"])
async def test_one_operator_serves_the_same_name_in_two_namespaces(
    cluster: Cluster, api: Api, kubelet: Kubelet, is_all: bool
) -> None:
    other = Api(api.client, f"{api.namespace}-b")
    body = {"metadata": {"name": other.namespace}}
    answer = await api.client.post("/api/v1/namespaces", json=body)
    assert answer.status_code == 201, answer.text
    operator = Operator(cluster, api.namespace)
    watched = "" if is_all else f"{api.namespace},{other.namespace}"
    await operator.start(GPO_NAMESPACES=watched)
    try:
        await api.create("pricenetworks", make_network(interval="24h"))
        await other.create("pricenetworks", make_network(interval="24h", count=3))
        await wait_ready(cluster, api)

        async def has_both() -> bool:
            return len(await other.list("deployments")) == 3

        await eventually("the other namespace has its nodes", has_both)
        assert len(await api.list("deployments")) == 4
    finally:
        await operator.stop()
        await other.delete("pricenetworks", "eth")
        await api.delete("pricenetworks", "eth")


async def test_a_namespace_that_is_not_watched_is_left_alone(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    other = Api(api.client, f"{api.namespace}-b")
    body = {"metadata": {"name": other.namespace}}
    await api.client.post("/api/v1/namespaces", json=body)
    await other.create("pricenetworks", make_network(interval="24h"))
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    assert cluster.read_audit("operator", other.namespace) == []
    await other.delete("pricenetworks", "eth")
