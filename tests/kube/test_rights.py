"""The operator's rights: enough for all it does, and none that it does not use.

That they are enough is shown by all of tests/kube: operators run with exactly these rights there,
and a single refusal fails the session (conftest).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from kube_api import Api, eventually
from kube_cluster import STRANGER, Cluster
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator
from kube_proxy import Proxy
from kube_rights import find_refusals, find_unused

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MONITORS = {"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"}


@asynccontextmanager
async def monitoring_kinds(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """Have the kinds of the Prometheus operator for a while, by the shape of their URLs."""
    group = "monitoring.coreos.com"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for plural, kind in MONITORS.items():
        version = {"name": "v1", "served": True, "storage": True}
        spec = {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version | {"schema": {"openAPIV3Schema": anything}}],
        }
        body = {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}
        answer = await client.post(CRDS, json=body)
        assert answer.status_code == 201, answer.text

    async def are_served() -> bool:
        answers = [await client.get(f"/apis/{group}/v1/{plural}") for plural in MONITORS]
        return all(answer.status_code == 200 for answer in answers)

    await eventually("the kinds are served", are_served)
    try:
        yield
    finally:
        for plural in MONITORS:
            await client.delete(f"{CRDS}/{plural}.{group}")


async def test_every_right_is_used(cluster: Cluster, api: Api, kubelet: Kubelet) -> None:
    # Watching all namespaces takes the most rights.
    operator = Operator(cluster, api.namespace)
    async with monitoring_kinds(api.client):
        await operator.start(GPO_NAMESPACES="")
        try:
            monitoring = {"podMonitor": True, "rules": True}
            await api.create("pricenetworks", make_network(count=5, monitoring=monitoring))
            await wait_ready(cluster, api)
            url = base64.b64encode(b"postgresql://u:p@db.example:5432/prices").decode()
            await api.create("secrets", {"metadata": {"name": "db"}, "data": {"url": url}})
            # Another database, no monitoring, fewer nodes: what is not wanted any more goes.
            change = {
                "postgres": {"managed": None, "external": {"secretName": "db"}},
                "monitoring": {"podMonitor": False, "rules": False},
                "nodes": {"count": 4},
            }
            await api.change("pricenetworks", "eth", {"spec": change})
            await wait_condition(api, "Ready", "True")

            async def find_rest() -> bool:
                used = cluster.read_requests("operator")
                return find_unused(used) == set()

            try:
                await eventually("every right was used", find_rest)
            except AssertionError:
                unused = find_unused(cluster.read_requests("operator"))
                raise AssertionError(f"rights that nothing needs: {sorted(unused)}") from None
        finally:
            await operator.stop()


async def test_what_is_refused_is_found(cluster: Cluster, api: Api) -> None:
    async with cluster.make_client(STRANGER) as client:
        answer = await client.get(api.path("secrets"))
    assert answer.status_code == 403
    assert find_refusals(cluster.read_requests(STRANGER)) == {"list /secrets"}


async def test_of_secrets_and_specs_the_watches_are_told_nothing(
    cluster: Cluster, api: Api, kubelet: Kubelet
) -> None:
    async with Proxy(cluster).run() as proxy:
        operator = Operator(cluster, api.namespace, url=proxy.url)
        await operator.start()
        try:
            await api.create("pricenetworks", make_network("quiet"))
            await wait_ready(cluster, api, "quiet")
        finally:
            await operator.stop()
    told = [json.loads(line)["object"] for line in b"".join(proxy.streamed).splitlines() if line]
    own = [found for found in told if "labels" in found["metadata"]]
    assert own
    assert {found["kind"] for found in own} == {"PartialObjectMetadata"}
    assert all(found.keys() == {"kind", "apiVersion", "metadata"} for found in own)
