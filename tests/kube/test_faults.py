"""The API server misbehaves, the operator is killed, two of them run: the network gets there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from kube_api import Api, Object, eventually, get_condition
from kube_cluster import Cluster, say_write
from kube_kubelet import Kubelet, find_most_down
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


class ShortLives:
    """Operators of which each is killed in the moment in which its first write is carried out."""

    def __init__(self, api: Api, proxy: Proxy, operator: Operator) -> None:
        self.api = api
        self.proxy = proxy
        self.operator = operator
        self.deaths = 0
        #: The uid of every Secret that ever was there, by name.
        self.uids: dict[str, set[str]] = {}
        self._written = asyncio.Event()
        proxy.after_write = self._die

    def _die(self, _ask: Ask) -> None:
        # What was carried out is not told: the line goes dead in the same moment.
        self.proxy.is_cut = True
        self._written.set()

    async def live_once(self, seconds: float) -> bool:
        """Live until the first write; return whether there was one in this time."""
        self.proxy.mend()
        self._written.clear()
        await self.operator.start(GPO_LEASE_DURATION="1s")
        try:
            async with asyncio.timeout(seconds):
                await self._written.wait()
        except TimeoutError:
            await self.operator.stop()
            return False
        self.proxy.cut()
        await self.operator.kill()
        self.deaths += 1
        for secret in await self.api.list("secrets"):
            metadata = secret["metadata"]
            self.uids.setdefault(metadata["name"], set()).add(metadata["uid"])
        return True

    async def live_until(self, is_done: Callable[[Object], bool], deadline_s: float = 150) -> None:
        """Live again and again until the network says so."""
        async with asyncio.timeout(deadline_s):
            while not is_done(await self.api.get("pricenetworks", "eth")):
                await self.live_once(12)

    async def live_on(self) -> None:
        """Live as operators usually do."""
        self.proxy.after_write = lambda _ask: None
        self.proxy.mend()
        await self.operator.start()


def is_ready(network: Object) -> bool:
    """Ready, and by the word of an operator that has seen the newest spec."""
    ready = get_condition(network, "Ready")
    is_new = ready.get("observedGeneration") == network["metadata"]["generation"]
    return bool(is_new and ready["status"] == "True")


async def test_killed_after_every_single_write_the_next_one_completes(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    lives = ShortLives(api, proxy, behind)
    await api.create("pricenetworks", make_network(interval="24h"))
    while lives.deaths < 45 and await lives.live_once(12):
        pass  # a whole life without a write: it is complete
    assert lives.deaths > 30
    await lives.live_on()
    await wait_ready(cluster, api)
    # No key and no password was ever made twice.
    assert all(len(found) == 1 for found in lives.uids.values())
    ours = [name for name in await api.snapshot() if "node-" in name]
    kinds = Counter(name.split("/")[0] for name in ours)
    assert kinds == {"secrets": 4, "persistentvolumeclaims": 4, "deployments": 4}
    assert len(await api.list("jobs")) == 1


async def test_killed_after_every_write_of_a_rollout_the_next_one_goes_on_with_it(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="24h"))
    await behind.start()
    await wait_ready(cluster, api)
    await behind.kill()
    kubelet.started.clear()
    kubelet.active_history.clear()
    lives = ShortLives(api, proxy, behind)
    await api.change("pricenetworks", "eth", {"spec": {"nodes": {"image": "gossip-price/node:2"}}})
    await lives.live_until(is_ready)
    assert lives.deaths > 5  # a Job, four Deployments, and what was told of it
    nodes = [name for name in kubelet.started if "-node-" in name]
    assert sorted(nodes) == [f"eth-node-{number}" for number in range(4)]
    assert find_most_down(kubelet) <= 1  # of 4 with 3 signers


async def test_killed_after_every_write_of_scaling_the_quorum_and_the_keys_are_kept(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator
) -> None:
    await api.create("pricenetworks", make_network(interval="8s"))
    await behind.start()
    await wait_ready(cluster, api)
    await behind.kill()
    kubelet.active_history.clear()
    lives = ShortLives(api, proxy, behind)

    def has_members(count: int) -> Callable[[Object], bool]:
        return lambda network: is_ready(network) and network["status"]["epoch"]["members"] == count

    for count in (5, 4):
        deaths = lives.deaths
        await cluster.kubectl("scale", "-n", api.namespace, "pn/eth", f"--replicas={count}")
        await lives.live_until(has_members(count))
        assert lives.deaths > deaths + 3
    assert await api.list_names("deployments") == {f"eth-node-{number}" for number in range(4)}
    assert all(len(found) == 1 for found in lives.uids.values())
    assert "eth-node-4" in lives.uids
    assert [seen for seen in kubelet.active_history if seen[0] < seen[1]] == []
    assert Counter(kubelet.started).most_common(1)[0][1] == 1


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


@pytest.mark.parametrize("watch", ["fails", "is silent", "is slow"])
async def test_a_watch_that_tells_nothing_is_made_up_for(
    cluster: Cluster, api: Api, kubelet: Kubelet, proxy: Proxy, behind: Operator, watch: str
) -> None:
    if watch == "fails":
        proxy.rule = lambda ask: Fault(500) if ask.is_watch else None
    else:
        proxy.watch_delay_s = 3.0 if watch == "is slow" else 3600.0
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
