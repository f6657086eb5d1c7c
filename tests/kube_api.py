"""One namespace of the test's API server, spoken to as a person or as the cluster's own parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

Object = dict[str, Any]

PATHS: Final[Mapping[str, str]] = {
    "pricenetworks": "apis/gossip-price.io/v1alpha1",
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "leases": "apis/coordination.k8s.io/v1",
}
#: Everything that the operator makes.
OWN: Final = (
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services",
    "serviceaccounts",
    "deployments",
    "statefulsets",
    "jobs",
    "poddisruptionbudgets",
    "networkpolicies",
)


class Api:
    """Plain requests on objects by plural and name; a request that fails fails the test."""

    def __init__(self, client: httpx.AsyncClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    def path(self, plural: str, name: str = "", subresource: str = "") -> str:
        path = f"/{PATHS.get(plural, 'api/v1')}/namespaces/{self.namespace}/{plural}"
        return path + (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")

    async def get(self, plural: str, name: str) -> Object:
        answer = await self.client.get(self.path(plural, name))
        assert answer.status_code == 200, answer.text
        found: Object = answer.json()
        return found

    async def find(self, plural: str, name: str) -> Object | None:
        answer = await self.client.get(self.path(plural, name))
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.status_code == 200 else None

    async def list(self, plural: str) -> list[Object]:
        answer = await self.client.get(self.path(plural))
        assert answer.status_code == 200, answer.text
        items: list[Object] = answer.json()["items"]
        return items

    async def create(self, plural: str, body: Object) -> Object:
        answer = await self.client.post(self.path(plural), json=body)
        assert answer.status_code == 201, answer.text
        made: Object = answer.json()
        return made

    async def patch(
        self, plural: str, name: str, body: Object, subresource: str = ""
    ) -> httpx.Response:
        return await self.client.patch(
            self.path(plural, name, subresource),
            json=body,
            headers={"Content-Type": "application/merge-patch+json"},
        )

    async def change(self, plural: str, name: str, body: Object, subresource: str = "") -> Object:
        answer = await self.patch(plural, name, body, subresource)
        assert answer.status_code == 200, answer.text
        changed: Object = answer.json()
        return changed

    async def delete(self, plural: str, name: str) -> None:
        answer = await self.client.delete(
            self.path(plural, name), params={"propagationPolicy": "Background"}
        )
        assert answer.status_code in (200, 202), answer.text

    async def list_names(self, plural: str) -> set[str]:
        return {found["metadata"]["name"] for found in await self.list(plural)}

    async def snapshot(self) -> dict[str, str]:
        """Return the resourceVersion of everything that the operator makes."""
        return {
            f"{plural}/{found['metadata']['name']}": found["metadata"]["resourceVersion"]
            for plural in OWN
            for found in await self.list(plural)
            if "gossip-price.io" in str(found["metadata"].get("annotations"))
        }


async def eventually(what: str, ask: Callable[[], Awaitable[Any]], deadline_s: float = 60) -> Any:
    """Return the first true answer; fail with the last one at the deadline."""
    answer: Any = None
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                answer = await ask()
                if answer:
                    return answer
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {deadline_s} s: {what}; last: {answer!r}") from None


def get_condition(resource: Object, name: str) -> Object:
    listed = (resource.get("status") or {}).get("conditions") or ()
    return next((item for item in listed if item["type"] == name), {})
