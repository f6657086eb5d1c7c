"""The CRD on a real API server: what it takes, what it refuses in which words, what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gossip_price.network.spec import parse_network, parse_yaml
from gossip_price_operator.plan import make_plan
from gossip_price_operator.status import View, compute_status
from kube_api import Api
from kube_cluster import Cluster
from operator_cases import START, make_desired, make_inputs, observe_running

EXAMPLES = {
    file.name: file.read_text() for file in (Path(__file__).parents[2] / "examples").glob("*.yaml")
}
RESOURCES = "/apis/gossip-price.io/v1alpha1/namespaces/{}/pricenetworks"


def make(spec: dict[str, Any] | None = None, name: str = "eth") -> dict[str, Any]:
    return {
        "apiVersion": "gossip-price.io/v1alpha1",
        "kind": "PriceNetwork",
        "metadata": {"name": name},
        "spec": spec or {},
    }


async def create(api: Api, resource: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    path = RESOURCES.format(api.namespace)
    answer = await api.client.post(path, json=resource)
    return answer.status_code, answer.json()


async def replace_spec(
    api: Api, spec: dict[str, Any], name: str = "eth"
) -> tuple[int, dict[str, Any]]:
    path = f"{RESOURCES.format(api.namespace)}/{name}"
    answer = await api.client.patch(
        path, json={"spec": spec}, headers={"content-type": "application/merge-patch+json"}
    )
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_every_example_is_taken_and_read_back_as_the_same_network(
    api: Api, name: str
) -> None:
    raw = yaml.safe_load(EXAMPLES[name])
    raw["metadata"]["namespace"] = api.namespace
    status, shown = await create(api, raw)
    assert status == 201, shown
    assert parse_network(shown).spec == parse_yaml(EXAMPLES[name]).spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"consensus": {"minimumSigners": 5}}, "at most nodes.count"),
        ({"consensus": {"minimumSigners": 2}}, "in Rounds, twice the signers must exceed"),
        ({"nodes": {"count": 2}}, "nodes.count: allowed: at least 3"),
        ({"nodes": {"count": 257}}, "spec.nodes.count"),
        ({"pairs": [{"name": "ETH-USD"}, {"name": "ETH-USD"}]}, "Duplicate value"),
        ({"pairs": [{"name": "eth"}]}, "spec.pairs[0].name"),
        ({"pairs": []}, "spec.pairs"),
        ({"price": {"interval": "10x"}}, "spec.price.interval"),
        ({"price": {"interval": "25h"}}, "from 1s to 24h"),
        ({"price": {"interval": 0}}, "spec.price.interval"),
        ({"price": {"maxDeviation": "much"}}, "spec.price.maxDeviation"),
        ({"price": {"minSources": 2}}, "at most the number of sources"),
        ({"price": {"sources": [{"name": "mine"}]}}, "url and path: required"),
        ({"price": {"sources": [{"name": "kraken", "url": "https://x"}]}}, "url and path"),
        (
            {"postgres": {"managed": {}, "external": {"secretName": "s"}}},
            "exactly one of managed, external, cloudNativePG",
        ),
        ({"postgres": {"managed": {"storage": {"size": "much"}}}}, "a Kubernetes quantity"),
        (
            {"documentRef": {"name": "d"}, "pairs": [{"name": "ETH-USD"}]},
            "nothing beside documentRef",
        ),
        ({"documentRef": {"name": "d"}, "price": {"interval": "1m"}}, "nothing beside documentRef"),
        ({"documentRef": {"name": "d"}, "consensus": {}}, "nothing beside documentRef"),
        ({"access": {"mode": "Public"}}, "spec.access.mode"),
        ({"access": {"peers": {"listeners": ["Qm"]}}}, "spec.access.peers.listeners[0]"),
        ({"keys": {"existing": [{"node": 0, "secretName": "a"}] * 2}}, "Duplicate value"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_with_the_field_and_the_remedy(
    api: Api, spec: dict[str, Any], said: str
) -> None:
    status, answer = await create(api, make(spec))
    assert (status, answer["reason"]) == (422, "Invalid"), answer
    assert said in answer["message"]


@pytest.mark.parametrize(
    "spec",
    [
        {"consensus": {"minimumSigners": 2, "mode": "EveryNode"}},
        {"consensus": {"minimumSigners": 4}},
        {"nodes": {"count": 256}},
        {"documentRef": {"name": "shared"}},
        {"price": {"interval": 15, "maxDeviation": 50}},
        {"postgres": {"external": {"secretName": "s"}}},
    ],
)
async def test_what_can_be_is_taken_and_read(api: Api, spec: dict[str, Any]) -> None:
    status, shown = await create(api, make(spec))
    assert status == 201, shown
    parse_network(shown)


@pytest.mark.parametrize("name", ["a.b", "a" * 64])
async def test_a_name_that_cannot_become_a_label_is_refused(api: Api, name: str) -> None:
    status, answer = await create(api, make(name=name))
    assert (status, "metadata.name" in answer["message"]) == (422, True)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"storageClassName": "fast"}, {"storageClassName": "slow"}, "immutable"),
        ({"storageClassName": "fast"}, {"storageClassName": None}, "immutable"),
        ({}, {"storageClassName": "fast"}, "immutable"),
        ({"size": "2Gi"}, {"size": "1536Mi"}, "never shrink"),
    ],
)
@pytest.mark.parametrize("part", ["nodes", "postgres"])
async def test_what_a_volume_cannot_do_is_refused(
    api: Api, part: str, before: dict[str, Any], after: dict[str, Any], said: str
) -> None:
    def place(storage: dict[str, Any]) -> dict[str, Any]:
        if part == "nodes":
            return {"nodes": {"storage": storage}}
        return {"postgres": {"managed": {"storage": storage}}}

    assert (await create(api, make(place(before))))[0] == 201
    status, answer = await replace_spec(api, place(after))
    assert status == 422, answer
    assert said in answer["message"]
    grown = place({**before, "size": "3Gi"})
    assert (await replace_spec(api, grown))[0] == 200


async def test_kubectl_scale_sets_the_number_of_nodes_and_never_below_the_bound(
    cluster: Cluster, api: Api
) -> None:
    assert (await create(api, make({"consensus": {"minimumSigners": 4}})))[0] == 201
    name = ("-n", api.namespace, "pn/eth")
    await cluster.kubectl("scale", *name, "--replicas=5")
    network = await api.get("pricenetworks", "eth")
    assert network["spec"]["nodes"]["count"] == 5
    with pytest.raises(AssertionError, match="minimumSigners"):
        await cluster.kubectl("scale", *name, "--replicas=3")


async def test_explain_teaches(cluster: Cluster, api: Api) -> None:
    said = await cluster.kubectl("explain", "pn.spec.consensus.minimumSigners")
    assert "the smallest safe number" in said
    said = await cluster.kubectl("explain", "pn.status.conditions.message")
    assert "what to do about it" in said


async def test_a_computed_status_is_taken_and_shown_in_the_columns(
    cluster: Cluster, api: Api
) -> None:
    assert (await create(api, make()))[0] == 201
    desired = make_desired(make_inputs())
    observed = observe_running(desired)
    plan = make_plan(desired, observed, START + 100)
    view = View("eth", 1, START, desired.spec, observed, plan)
    status = compute_status(view, START + 100)
    path = f"{RESOURCES.format(api.namespace)}/eth/status"
    answer = await api.client.patch(
        path, json={"status": status}, headers={"content-type": "application/merge-patch+json"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == status
    shown = await cluster.kubectl("get", "pn", "eth", "-n", api.namespace, "-o", "wide")
    head, row = shown.strip().splitlines()
    assert head.split("  ")[0] == "NAME"
    assert row.split()[:5] == ["eth", "True", "4", "3", "3001.12345678"]
    assert "REASON" in head
