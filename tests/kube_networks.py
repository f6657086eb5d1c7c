"""PriceNetworks for tests on the API server: short rounds, and what is asked of them."""

from __future__ import annotations

from typing import Any

from kube_api import Api, Object, eventually, get_condition
from kube_cluster import Cluster


def make_network(name: str = "eth", *, interval: str = "3s", count: int = 4, **spec: Any) -> Object:
    return {
        "apiVersion": "gossip-price.io/v1alpha1",
        "kind": "PriceNetwork",
        "metadata": {"name": name},
        "spec": {
            "price": {"interval": interval},
            "consensus": {"settle": "1s"},
            "nodes": {"count": count},
            **spec,
        },
    }


async def wait_ready(cluster: Cluster, api: Api, name: str = "eth", timeout_s: int = 60) -> Object:
    """Wait as a person does; return the network."""
    wait = ("wait", "-n", api.namespace, f"pn/{name}", f"--timeout={timeout_s}s")
    try:
        await cluster.kubectl(*wait, "--for=condition=Ready")
    except AssertionError as error:
        resource = await api.get("pricenetworks", name)
        raise AssertionError(f"{error}; {resource.get('status')}") from None
    return await api.get("pricenetworks", name)


async def wait_condition(
    api: Api, condition: str, truth: str, reason: str | None = None, name: str = "eth"
) -> Object:
    """Wait until a condition of the newest generation says so; return the condition."""

    async def ask() -> Object | None:
        resource = await api.get("pricenetworks", name)
        found = get_condition(resource, condition)
        is_new = found.get("observedGeneration") == resource["metadata"]["generation"]
        is_so = found.get("status") == truth and reason in (None, found.get("reason"))
        return found if is_new and is_so else None

    try:
        met: Object = await eventually(f"{condition} is {truth} ({reason})", ask)
    except AssertionError as error:
        resource = await api.get("pricenetworks", name)
        raise AssertionError(f"{error}; {resource.get('status')}") from None
    return met
