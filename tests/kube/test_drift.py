"""What others change or remove is put back; what cannot be made again is told and not replaced."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from kube_api import Api, Object, eventually
from kube_cluster import Cluster, say_write
from kube_kubelet import Kubelet, stop_task
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator


@pytest.mark.parametrize(
    "what",
    [
        "services/eth-nodes",
        "services/eth-bootstrap",
        "poddisruptionbudgets/eth-nodes",
        "configmaps/eth-network",
        "deployments/eth-node-2",
        "statefulsets/eth-bootstrap",
    ],
)
async def test_a_deleted_object_comes_back(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator, what: str
) -> None:
    plural, name = what.split("/")
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    gone = (await api.get(plural, name))["metadata"]["uid"]
    await api.delete(plural, name)

    async def is_back() -> bool:
        found = await api.find(plural, name)
        return found is not None and found["metadata"]["uid"] != gone

    await eventually(f"{plural} {name} is back", is_back)
    await wait_ready(cluster, api)


async def test_edits_by_hand_are_put_back(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    label = "app.kubernetes.io/component"
    edits: list[tuple[str, str, Object]] = [
        ("services", "eth-nodes", {"spec": {"selector": {label: "other"}}}),
        ("secrets", "eth-node-1", {"metadata": {"labels": {label: None}}}),
        ("secrets", "eth-node-2", {"metadata": {"labels": {"app.kubernetes.io/instance": None}}}),
        ("configmaps", "eth-network", {"data": {"network.json": "{}"}}),
        ("deployments", "eth-node-0", {"spec": {"replicas": 0}}),
    ]
    right = {
        (plural, name): select(await api.get(plural, name), edit) for plural, name, edit in edits
    }
    for plural, name, edit in edits:
        await api.change(plural, name, edit)

    async def find_wrong() -> list[str]:
        return [
            f"{plural}/{name}"
            for plural, name, edit in edits
            if select(await api.get(plural, name), edit) != right[plural, name]
        ]

    async def is_right() -> bool:
        return not await find_wrong()

    await eventually("all edits are put back", is_right)


def select(found: Any, edit: Any) -> Any:
    """Return of an object what an edit speaks of."""
    if not isinstance(edit, dict):
        return found
    return {key: select((found or {}).get(key), inner) for key, inner in edit.items()}


async def test_an_edited_pod_template_is_put_back_one_node_at_a_time(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    image = {"containers": [{"name": "node", "image": "evil/node:1"}]}
    for number in range(2):
        answer = await api.client.patch(
            api.path("deployments", f"eth-node-{number}"),
            json={"spec": {"template": {"spec": image}}},
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        assert answer.status_code == 200, answer.text

    async def are_right() -> bool:
        images = {
            deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            for deployment in await api.list("deployments")
        }
        return images == {"gossip-price/node:1"}

    await eventually("the images are put back", are_right)
    await wait_ready(cluster, api)


async def test_a_deleted_identity_is_told_and_never_replaced(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    secret = await api.get("secrets", "eth-node-3")
    before = await api.snapshot()
    await api.delete("secrets", "eth-node-3")
    told = await wait_condition(api, "Stalled", "True", "IdentityMissing")
    assert "eth-node-3" in told["message"]
    assert "remedy" in told["message"]
    await operator.kill()
    await operator.start()
    await operator.wait_alive()
    await api.delete("services", "eth-nodes")  # not even a reason to look makes it anew
    await wait_condition(api, "Stalled", "True", "IdentityMissing")
    del before["secrets/eth-node-3"], before["services/eth-nodes"]
    assert await api.snapshot() == before
    kept = {
        key: value
        for key, value in secret["metadata"].items()
        if key in ("name", "labels", "annotations")
    }
    await api.create("secrets", {**secret, "metadata": kept})
    await wait_ready(cluster, api)
    assert "eth-nodes" in await api.list_names("services")


async def test_a_password_is_never_made_anew_while_its_volume_is_there(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    await api.delete("secrets", "eth-postgres")
    told = await wait_condition(api, "Stalled", "True", "PasswordMissing")
    assert "volume eth-postgres" in told["message"]
    assert await api.find("secrets", "eth-postgres") is None
    # A person sets a new one in the database, and says whose the Secret is.
    host = f"eth-postgres.{api.namespace}.svc"
    url = f"postgresql://gossip_price:new@{host}:5432/prices"
    texts = {"username": "gossip_price", "password": "new", "database": "prices", "url": url}
    labels = {"app.kubernetes.io/managed-by": "gossip-price-operator"}
    made = {"metadata": {"name": "eth-postgres", "labels": labels}, "stringData": texts}
    await api.create("secrets", made)
    await wait_ready(cluster, api)
    kept = await api.get("secrets", "eth-postgres")
    assert base64.b64decode(kept["data"]["password"]) == b"new"


async def test_lost_epochs_are_told_and_no_new_network_begins(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    await operator.stop()
    for name in ("eth-network", "eth-epochs"):
        await api.delete("configmaps", name)
    await operator.start()
    told = await wait_condition(api, "Stalled", "True", "RecordMissing")
    assert "restore" in told["message"]
    assert await api.list_names("configmaps") <= {"kube-root-ca.crt"}


async def test_an_object_that_is_not_ours_is_not_taken_over(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    theirs = {"metadata": {"name": "eth-nodes"}, "spec": {"ports": [{"port": 80}]}}
    made = await api.create("services", theirs)
    await api.create("pricenetworks", make_network(interval="24h"))
    told = await wait_condition(api, "Stalled", "True", "NameTaken")
    assert "Service eth-nodes" in told["message"]
    assert (await api.get("services", "eth-nodes"))["spec"] == made["spec"]
    await api.delete("services", "eth-nodes")
    await wait_ready(cluster, api)


async def test_keys_are_whole_and_nobody_can_change_them(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    keys = set()
    for number in range(4):
        secret = await api.get("secrets", f"eth-node-{number}")
        assert secret["immutable"] is True
        keys |= {base64.b64decode(value) for value in secret["data"].values()}
    assert len(keys) == 8
    changed = await api.patch("secrets", "eth-node-0", {"data": {"signing.key": "AA=="}})
    assert changed.status_code == 422


async def test_all_that_we_write_has_one_field_manager_and_what_others_add_stays(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    theirs = {"metadata": {"annotations": {"mesh/injected": "1"}}, "spec": {"minReadySeconds": 7}}
    await api.change("deployments", "eth-node-0", theirs)
    image = {"spec": {"nodes": {"image": "gossip-price/node:2"}}}
    await api.change("pricenetworks", "eth", image)
    await wait_ready(cluster, api)
    changed = await api.get("deployments", "eth-node-0")
    assert changed["metadata"]["annotations"]["mesh/injected"] == "1"
    assert changed["spec"]["minReadySeconds"] == 7
    assert "node:2" in changed["spec"]["template"]["spec"]["containers"][0]["image"]
    applied = 0
    for plural in ("deployments", "statefulsets", "services", "configmaps", "networkpolicies"):
        for found in await api.list(plural):
            ours = {
                entry["operation"]
                for entry in found["metadata"]["managedFields"]
                if entry["manager"] == "gossip-price-operator"
            }
            assert ours <= {"Apply"}, found["metadata"]["name"]
            applied += len(ours)
    assert applied > 10


async def test_who_undoes_what_we_apply_gets_no_hot_loop_and_is_told(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    theirs = {"metadata": {"labels": {"app.kubernetes.io/component": "mesh"}}}
    undone = 0

    async def insist() -> None:
        """A controller that has its own idea of a field of ours, and answers at once."""
        nonlocal undone
        while True:
            live = await api.get("services", "eth-nodes")
            if select(live, theirs) != theirs:
                await api.change("services", "eth-nodes", theirs)
                undone += 1
            await asyncio.sleep(0.05)

    insisting = asyncio.create_task(insist())
    told = await wait_condition(api, "Stalled", "True", "Contested")
    assert "Service eth-nodes" in told["message"]
    assert "remedy" in told["message"]

    async def is_put_back_ever_less_often() -> bool:
        return undone >= 6

    await eventually("it is undone once more after the first pause", is_put_back_ever_less_often)
    wrote = [say_write(entry) for entry in cluster.read_audit("operator", api.namespace)]
    applied = wrote.count("patch services eth-nodes")
    assert applied <= 8  # one at birth, four at once, and then after 5, 10, 20 s
    before = sum("pricenetworks/status" in write for write in wrote)
    await asyncio.sleep(4)  # within a pause: looks, and not a word
    wrote = [say_write(entry) for entry in cluster.read_audit("operator", api.namespace)]
    assert wrote.count("patch services eth-nodes") == applied
    assert sum("pricenetworks/status" in write for write in wrote) == before
    await stop_task(insisting)

    async def is_ours_again() -> bool:
        return bool(select(await api.get("services", "eth-nodes"), theirs) != theirs)

    await eventually("it is put back once nobody insists", is_ours_again)
