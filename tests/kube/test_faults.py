"""The API server misbehaves, the operator is killed, two of them run: the network gets there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from kube_api import Api, Object, eventually
from kube_cluster import Cluster, say_write
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator
from kube_proxy import Ask, Fault, Proxy


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[Proxy]:
    async with Proxy(cluster).run() as proxy:
        yield proxy


@pytest.fixture
async def behind(cluster: Cluster, api: Api, proxy: Proxy) -> AsyncIterator[Operator]:
    """An operator that reaches the API server through the proxy; the test starts it."""
    operator = Operator(cluster, api.namespace, url=proxy.url)
    yield operator
    await operator.stop()


async def test_killed_after_every_single_write_the_next_one_completes(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    written = asyncio.Event()
    deaths = 0

    def after_write(_ask: Ask) -> None:
        # What was carried out is not told: the line goes dead in the same moment.
        proxy.is_cut = True
        written.set()

    proxy.after_write = after_write
    await api.create("pricenetworks", make_network(interval="24h"))
    uids: dict[str, set[str]] = {}
    while deaths < 45:
        proxy.mend()
        written.clear()
        await behind.start(GPO_LEASE_DURATION="1s")
        try:
            async with asyncio.timeout(12):
                await written.wait()
        except TimeoutError:
            await behind.stop()
            break  # a whole life without a write: it is complete
        proxy.cut()
        await behind.kill()
        deaths += 1
        for secret in await api.list("secrets"):
            name = secret["metadata"]["name"]
            uids.setdefault(name, set()).add(secret["metadata"]["uid"])
    assert deaths > 30
    proxy.after_write = lambda _ask: None
    proxy.mend()
    await behind.start()
    await wait_ready(cluster, api)
    # No key and no password was ever made twice.
    assert all(len(found) == 1 for found in uids.values())
    ours = [name for name in await api.snapshot() if "node-" in name]
    kinds = Counter(name.split("/")[0] for name in ours)
    assert kinds == {"secrets": 4, "persistentvolumeclaims": 4, "deployments": 4}
    assert len(await api.list("jobs")) == 1


@pytest.mark.parametrize("status", [409, 410, 429, 500, 503, 0])
async def test_errors_of_the_api_server_are_waited_out(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator, status: int
) -> None:
    counted = 0

    def rule(ask: Ask) -> Fault | None:
        nonlocal counted
        counted += 1
        # Of every three requests one goes wrong, some after they were carried out.
        if counted % 3 or counted > 400 or (status == 409 and not ask.is_write):
            return None
        return Fault(status, is_after=counted % 2 == 0, retry_after="1" if status == 429 else "")

    proxy.rule = rule
    await behind.start()
    await api.create("pricenetworks", make_network(interval="24h"))
    proxied = asyncio.get_running_loop().call_later(15, lambda: setattr(proxy, "rule", pass_all))
    await wait_ready(cluster, api, timeout_s=90)
    proxied.cancel()
    assert not behind.has_ended, behind.log.read_text()
    assert len(await api.list("deployments")) == 4


def pass_all(_ask: Ask) -> Fault | None:
    return None


async def test_cut_off_for_a_while_it_comes_back_and_is_not_restarted_meanwhile(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    await behind.start()
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    proxy.cut()
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": "gossip-price/node:2"}}})
    await asyncio.sleep(15)  # longer than the lease: it has stopped to act by itself
    assert await behind.ask("/livez") == 200
    assert not behind.has_ended
    proxy.mend()
    await wait_ready(cluster, api)


async def test_a_watch_that_tells_nothing_is_made_up_for(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    proxy.rule = lambda ask: Fault(500) if ask.is_watch else None
    await api.create("pricenetworks", make_network(interval="24h"))
    await behind.start()
    await wait_ready(cluster, api)
    await api.delete("services", "eth-nodes")

    async def is_back() -> bool:
        return await api.find("services", "eth-nodes") is not None

    await eventually("the Service is back without a watch", is_back)


async def test_a_second_operator_stays_passive_and_takes_over(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    second = Operator(cluster, api.namespace, user="second")
    await second.start()
    await second.wait_alive()
    try:
        await api.delete("services", "eth-nodes")

        async def is_back() -> bool:
            return await api.find("services", "eth-nodes") is not None

        await eventually("the Service is back", is_back)
        assert cluster.read_audit("second", api.namespace) == []
        assert await second.ask("/livez") == await second.ask("/readyz") == 200
        await operator.kill()
        await api.delete("services", "eth-nodes")
        await eventually("the second one has put it back", is_back)
        written = [say_write(entry) for entry in cluster.read_audit("second", api.namespace)]
        assert "patch services eth-nodes" in written
    finally:
        await second.stop()


async def test_an_operator_that_ends_cleanly_hands_over_at_once(
    cluster: Cluster, api: Api, operator: Operator
) -> None:
    async def get_holder() -> str:
        lease: Object | None = await api.find("leases", "gossip-price-operator")
        return "" if lease is None else str(lease["spec"]["holderIdentity"])

    await eventually("the lease is held", get_holder)
    await operator.stop()
    assert await get_holder() == ""


async def test_what_the_server_refuses_is_told_and_not_tried_in_a_loop(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await wait_ready(cluster, api)
    # A claim that is not bound cannot grow, whatever the class.
    grown = {"spec": {"nodes": {"storage": {"size": "2Gi"}}}}
    await api.change("pricenetworks", "eth", grown)
    told = await wait_condition(api, "Stalled", "True", "Refused")
    assert "PersistentVolumeClaim eth-node-0" in told["message"]
    assert "remedy" in told["message"]
    count = len(cluster.read_audit("operator", api.namespace))
    await asyncio.sleep(6)  # three looks
    tried = [say_write(entry) for entry in cluster.read_audit("operator", api.namespace)[count:]]
    assert [write for write in tried if "leases" not in write] == []
    # The rest goes on: what can be done is done beside it.
    await api.delete("services", "eth-nodes")

    async def is_back() -> bool:
        return await api.find("services", "eth-nodes") is not None

    await eventually("the Service is back", is_back)
