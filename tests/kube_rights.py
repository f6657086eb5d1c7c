"""The operator's rights on the test's API server: those of the chart, and none beside them.

A Role for each namespace would be the chart's own way; here one ClusterRole for each part of the
rights is bound where it counts, which allows the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx

from gossip_price_operator.rights import PARTS, make_rules

_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_GROUP: Final = "rbac.authorization.k8s.io"
_LABEL: Final = "tests/user"


async def make_roles(client: httpx.AsyncClient) -> None:
    """Make a ClusterRole of each part of the operator's rights."""
    for part, rights in PARTS.items():
        role = {"metadata": {"name": f"operator-{part}"}, "rules": make_rules(rights)}
        answer = await client.post(f"{_RBAC}/clusterroles", json=role)
        assert answer.status_code == 201, answer.text


async def grant(client: httpx.AsyncClient, user: str, *, own: str, watched: Iterable[str]) -> None:
    """Bind the parts as the chart does: to `watched` namespaces, or to the cluster."""
    watched = list(watched)
    for namespace in watched:
        await _bind(client, user, "networks", namespace)
    if not watched:
        await _bind(client, user, "networks", None)
        await _bind(client, user, "cluster", None)
    await _bind(client, user, "own", own)


async def revoke(client: httpx.AsyncClient, user: str) -> None:
    """Take back what was given to a user, wherever."""
    for plural in ("rolebindings", "clusterrolebindings"):
        answer = await client.get(f"{_RBAC}/{plural}", params={"labelSelector": f"{_LABEL}={user}"})
        for found in answer.json()["items"]:
            metadata = found["metadata"]
            namespace = metadata.get("namespace")
            within = f"/namespaces/{namespace}" if namespace else ""
            await client.delete(f"{_RBAC}{within}/{plural}/{metadata['name']}")


async def _bind(client: httpx.AsyncClient, user: str, part: str, namespace: str | None) -> None:
    binding = {
        "metadata": {"name": f"{user}-{part}", "labels": {_LABEL: user}},
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": f"operator-{part}"},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": user}],
    }
    where = "clusterrolebindings" if namespace is None else f"namespaces/{namespace}/rolebindings"
    answer = await client.post(f"{_RBAC}/{where}", json=binding)
    assert answer.status_code == 201, answer.text


def say_request(entry: Mapping[str, Any]) -> str:
    """Return an audit entry as a right is written: verb, group and resource."""
    told = entry["objectRef"]
    part = f"/{told['subresource']}" if told.get("subresource") else ""
    return f"{entry['verb']} {told.get('apiGroup', '')}/{told['resource']}{part}"


def find_refusals(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return what was asked for without the right to it."""
    return {
        say_request(entry)
        for entry in entries
        if (entry.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"
    }


def find_unused(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the rights that nobody made use of."""
    asked = set()
    for entry in (entry for entry in entries if entry.get("objectRef")):
        asked.add(say_request(entry))
        # An apply of what was not there: the server asks for both rights.
        if entry["verb"] == "patch" and entry["responseStatus"]["code"] == 201:
            asked.add(say_request({**entry, "verb": "create"}))
    given = {
        f"{verb} {right.group}/{name}"
        for rights in PARTS.values()
        for right in rights
        for name in right.resources
        for verb in right.verbs
    }
    return given - asked
