"""Deleted with the operator down, adopted by a new network of the same name, or gone for good."""

from __future__ import annotations

from typing import Any

from kube_api import OWN, Api, eventually
from kube_cluster import Cluster
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator


async def list_left(api: Api) -> set[str]:
    """Everything of ours that is still there and not on its way out."""
    return {
        f"{plural}/{found['metadata']['name']}"
        for plural in OWN
        for found in await api.list(plural)
        if found["metadata"]["name"].startswith("eth-")
        and not found["metadata"].get("deletionTimestamp")
    }


async def wait_left(api: Api, expected: set[str]) -> None:
    async def is_left() -> bool:
        return await list_left(api) == expected

    try:
        await eventually("only what is kept is left", is_left, 60)
    except AssertionError:
        assert await list_left(api) == expected
        raise


async def test_with_the_operator_down_a_network_goes_and_its_keys_and_data_stay(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    file = (await api.get("configmaps", "eth-epochs"))["data"]
    password = (await api.get("secrets", "eth-postgres"))["data"]
    keys: dict[str, Any] = {
        f"eth-node-{number}": (await api.get("secrets", f"eth-node-{number}"))["data"]
        for number in range(4)
    }
    network_id = (await api.get("pricenetworks", "eth"))["status"]["networkId"]
    await operator.stop()
    await cluster.kubectl(
        "delete", "-n", api.namespace, "pn", "eth", "--cascade=background", "--timeout=20s"
    )
    await wait_left(
        api,
        {
            *(f"secrets/{name}" for name in keys),
            "secrets/eth-bootstrap-0",
            "secrets/eth-postgres",
            "configmaps/eth-epochs",
            "configmaps/eth-network",
            "persistentvolumeclaims/eth-postgres",
        },
    )

    await operator.start()
    await api.create("pricenetworks", make_network())
    network = await wait_ready(cluster, api)
    assert network["status"]["networkId"] == network_id
    assert (await api.get("configmaps", "eth-epochs"))["data"].keys() == file.keys()
    assert (await api.get("secrets", "eth-postgres"))["data"] == password
    for name, held in keys.items():
        assert (await api.get("secrets", name))["data"] == held


async def test_with_deletion_policy_delete_nothing_is_left(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    # Changed on the way: what was kept at first goes as well.
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    await api.change("pricenetworks", "eth", {"spec": {"deletionPolicy": "Delete"}})

    async def are_owned() -> bool:
        return all(
            found["metadata"].get("ownerReferences")
            for found in await api.list("secrets")
            if found["metadata"]["name"].startswith("eth-")
        )

    await eventually("the keys have an owner", are_owned)
    await wait_ready(cluster, api)
    await operator.stop()
    await cluster.kubectl("delete", "-n", api.namespace, "pn", "eth", "--timeout=20s")
    await wait_left(api, set())


async def test_a_policy_changed_back_to_retain_keeps_the_keys(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h", deletionPolicy="Delete"))
    await wait_ready(cluster, api)
    await api.change("pricenetworks", "eth", {"spec": {"deletionPolicy": "Retain"}})

    async def are_free() -> bool:
        return not any(
            found["metadata"].get("ownerReferences")
            for found in await api.list("secrets")
            if found["metadata"]["name"].startswith("eth-")
        )

    await eventually("the keys have no owner", are_free)


async def test_a_kept_database_of_another_major_version_is_refused(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    image = {"postgres": {"managed": {"image": "postgres:18"}}}
    await api.change("pricenetworks", "eth", {"spec": image})
    told = await wait_condition(api, "Stalled", "True", "PostgresVersionDiffers")
    assert "postgres:18" in told["message"]
    assert "remedy" in told["message"]
    database = await api.get("statefulsets", "eth-postgres")
    assert database["spec"]["template"]["spec"]["containers"][0]["image"] == "postgres:17"
