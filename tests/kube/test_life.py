"""A network's first day: it becomes ready, and from then on nothing is written in vain."""

from __future__ import annotations

import asyncio
import json

from kube_api import Api, eventually, get_condition
from kube_cluster import Cluster, say_write
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator

ALL = (
    "Ready",
    "Reconciling",
    "Stalled",
    "PostgresReady",
    "BootstrapReady",
    "NodesReady",
    "PeersConnected",
    "PricesFlowing",
)

#: Looks like a peer id to the schema; no key has it.
NOBODY = "16Uiu2".ljust(53, "z")


def count_reads(cluster: Cluster, namespace: str) -> int:
    """How often the operator looked at a network."""
    lines = map(json.loads, (cluster.folder / "audit.log").read_text().splitlines())
    return sum(
        line["verb"] == "get"
        and line["user"]["username"] == "operator"
        and (line.get("objectRef") or {}).get("resource") == "pricenetworks"
        and line["objectRef"].get("namespace") == namespace
        for line in lines
    )


async def test_a_network_is_applied_and_becomes_ready(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    network = await wait_ready(cluster, api)
    status = network["status"]
    assert (status["nodes"], status["readyNodes"], status["minimumSigners"]) == (4, 4, 3)
    assert status["lastPrice"]["signers"] >= 3
    assert status["observedGeneration"] == network["metadata"]["generation"]
    for condition in ALL:
        told = get_condition(network, condition)
        assert told["observedGeneration"] == network["metadata"]["generation"]
        assert told["reason"], told["message"]
    assert "finalizers" not in network["metadata"]
    assert "annotations" not in network["metadata"]


async def test_the_operator_counts_its_looks_and_requests_and_shows_who_is_ready(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    network = f'{{network="{api.namespace}/eth"}}'

    async def is_shown() -> bool:
        return (await operator.read_metrics()).get(ready) == 1

    ready = f"gossip_price_operator_network_ready{network}"
    await eventually("the metrics show the network ready", is_shown)
    shown = await operator.read_metrics()
    assert shown["gossip_price_operator_active"] == 1
    assert shown[f"gossip_price_operator_network_stalled{network}"] == 0
    assert shown["gossip_price_operator_look_seconds_count"] >= 2
    writes = 'gossip_price_operator_api_requests_total{code="201",kind="Deployment",method="patch"}'
    assert shown[writes] == 4, "each node's Deployment was made once"
    await api.delete("pricenetworks", "eth")

    async def is_forgotten() -> bool:
        return ready not in await operator.read_metrics()

    await eventually("a deleted network leaves no series", is_forgotten)


async def test_at_rest_nothing_is_written_though_the_operator_looks_again_and_again(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    # Others' defaults and additions are no drift: a mesh's annotation, an autoscaler's field.
    added = {"metadata": {"annotations": {"mesh/injected": "1"}}, "spec": {"minReadySeconds": 1}}
    await api.change("deployments", "eth-node-0", added)
    service = {"metadata": {"labels": {"cloud/zone": "a"}}}
    await api.change("services", "eth-nodes", service)
    await asyncio.sleep(5)  # a fixed span is what is promised: what follows counts
    writes = len(cluster.read_audit("operator", api.namespace))
    looks = count_reads(cluster, api.namespace)
    await asyncio.sleep(60)
    idle = cluster.read_audit("operator", api.namespace)[writes:]
    assert [say_write(entry) for entry in idle if entry["objectRef"]["resource"] != "leases"] == []
    assert count_reads(cluster, api.namespace) >= looks + 20


async def test_the_status_is_written_at_most_once_a_round(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="4s"))
    await wait_ready(cluster, api)
    first = (await api.get("pricenetworks", "eth"))["status"]["lastPrice"]["round"]

    def count() -> int:
        written = map(say_write, cluster.read_audit("operator", api.namespace))
        return sum(write.endswith("pricenetworks/status eth") for write in written)

    before = count()

    async def ask() -> int:
        latest = (await api.get("pricenetworks", "eth"))["status"]["lastPrice"]["round"]
        return int(latest - first) if latest >= first + 12 else 0

    passed = await eventually("three more rounds", ask)
    assert count() - before <= passed // 4 + 1


async def test_waiting_straight_after_a_change_waits_for_the_change(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    image = "gossip-price/node:2"
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": image}}})
    network = await wait_ready(cluster, api)
    found = [
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        for deployment in await api.list("deployments")
    ]
    assert found == [image] * 4
    assert network["status"]["observedGeneration"] == network["metadata"]["generation"]


async def test_who_cannot_be_asked_is_unknown_and_not_false(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    kubelet.silent = {f"eth-node-{number}" for number in range(4)}
    await api.create("pricenetworks", make_network())
    told = await wait_condition(api, "PeersConnected", "Unknown", "NodesNotAsked")
    assert "8080" in told["message"]
    told = await wait_condition(api, "PricesFlowing", "Unknown", "NodesNotAsked")
    ready = get_condition(await api.get("pricenetworks", "eth"), "Ready")
    assert ready["status"] == "Unknown"


async def test_a_new_network_is_ready_before_its_first_price_but_not_for_ever(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    kubelet.is_market_open = False
    await api.create("pricenetworks", make_network(interval="8s"))
    await wait_ready(cluster, api)
    await wait_condition(api, "PricesFlowing", "Unknown", "FirstPriceDue")
    told = await wait_condition(api, "PricesFlowing", "False", "NoPrices")
    assert "remedy" in told["message"]
    await wait_condition(api, "Ready", "False", "NoPrices")
    kubelet.is_market_open = True
    await wait_condition(api, "Ready", "True")


async def test_a_node_without_peers_and_prices_that_stop_are_told_and_so_is_their_return(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="3s"))
    await wait_ready(cluster, api)
    kubelet.parted = {"eth-node-2"}
    told = await wait_condition(api, "PeersConnected", "False", "NodesAlone")
    assert "node 2" in told["message"]
    kubelet.parted = set()
    await wait_condition(api, "PeersConnected", "True")
    kubelet.is_market_open = False
    told = await wait_condition(api, "PricesFlowing", "False", "NoPrices")
    assert "ETH-USD" in told["message"]
    kubelet.is_market_open = True
    await wait_condition(api, "PricesFlowing", "True")


async def test_a_spec_that_cannot_be_used_is_told_and_what_runs_is_left_alone(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    before = await api.snapshot()
    wrong = {"spec": {"access": {"peers": {"admitted": [NOBODY]}}}}
    await api.change("pricenetworks", "eth", wrong)
    told = await wait_condition(api, "Stalled", "True", "InvalidSpec")
    assert "spec.access.peers.admitted[0]" in told["message"]
    assert "allowed: the peer id of a secp256k1 key" in told["message"]
    await wait_condition(api, "Ready", "False", "InvalidSpec")
    assert await api.snapshot() == before
    await api.change("pricenetworks", "eth", {"spec": {"access": None}})
    await wait_condition(api, "Ready", "True")
    assert await api.snapshot() == before


async def test_what_a_person_should_know_is_an_event_once(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    wrong = {"spec": {"access": {"peers": {"admitted": [NOBODY]}}}}
    await api.change("pricenetworks", "eth", wrong)
    await wait_condition(api, "Stalled", "True", "InvalidSpec")
    await operator.kill()
    await operator.start()
    await operator.wait_alive()
    await asyncio.sleep(6)  # a new operator has looked more than once
    events = await api.list("events")
    told = [(event["type"], event["reason"], event["message"].split(":")[0]) for event in events]
    assert len(told) == len(set(told))
    assert ("Warning", "InvalidSpec", "Stalled") in told
    assert ("Normal", "Ready", "Ready") in told
    assert ("Normal", "EpochInForce", "epoch 1 is in force") in told
    described = await cluster.kubectl("describe", "-n", api.namespace, "pn", "eth")
    assert "spec.access.peers.admitted[0]" in described


async def test_a_paused_network_is_not_touched(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    await api.change("pricenetworks", "eth", {"spec": {"paused": True}})
    await wait_condition(api, "Reconciling", "True", "Paused")
    before = await api.snapshot()
    await api.delete("services", "eth-nodes")
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"count": 6}}})
    await wait_condition(api, "Reconciling", "True", "Paused")
    await asyncio.sleep(5)  # two looks and more
    del before["services/eth-nodes"]
    assert await api.snapshot() == before
    await api.change("pricenetworks", "eth", {"spec": {"paused": False}})
    await wait_ready(cluster, api)
    assert "eth-nodes" in await api.list_names("services")
    assert len(await api.list("deployments")) == 6
