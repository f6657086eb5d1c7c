"""The cluster's API through the official client: plain objects, asked for by kind and name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from kubernetes import config as _config

# The package says that it is typed; this part of it is not.
_api_config: Any = _config

Object = dict[str, Any]

#: Where each plural is served; what is not here is of the core group.
_GROUPS: Final[Mapping[str, str]] = {
    "pricenetworks": "apis/gossip-price.io/v1alpha1",
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "podmonitors": "apis/monitoring.coreos.com/v1",
    "prometheusrules": "apis/monitoring.coreos.com/v1",
}
_REQUEST_S: Final = 30


class ApiError(Exception):
    """The API server's refusal: its status code and what it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class Api:
    """Reads and changes objects; a request that is refused raises ApiError."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = _api_config.new_client_from_config(str(kubeconfig))

    def get(self, plural: str, name: str, namespace: str | None = None) -> Object:
        """Return one object."""
        found: Object = self._call("GET", _path(plural, namespace, name))
        return found

    def find(self, plural: str, name: str, namespace: str | None = None) -> Object | None:
        """Return one object, or None where it is not there."""
        try:
            return self.get(plural, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, plural: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """Return all objects of a kind, of one namespace or of all, those with `labels`."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        query = {"labelSelector": selector} if selector else {}
        items: list[Object] = self._call("GET", _path(plural, namespace), query)["items"]
        return items

    def patch(
        self, plural: str, name: str, namespace: str | None, body: Object, subresource: str = ""
    ) -> Object:
        """Change an object by a JSON merge patch; return it as it is then."""
        path = _path(plural, namespace, name) + (f"/{subresource}" if subresource else "")
        changed: Object = self._call(
            "PATCH", path, body=body, content_type="application/merge-patch+json"
        )
        return changed

    def _call(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Any:
        url = f"{self._client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type}
        answer = self._client.call_api(
            verb, url, header_params=headers, body=body, _request_timeout=_REQUEST_S
        )
        raw = answer.read()
        if not 200 <= answer.status < 300:
            raise ApiError(answer.status, raw.decode(errors="replace"))
        return json.loads(raw)


def _path(plural: str, namespace: str | None, name: str = "") -> str:
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"/{_GROUPS.get(plural, 'api/v1')}{inside}/{plural}" + (f"/{name}" if name else "")


def get_condition(resource: Object, name: str) -> Object:
    """Return a condition of a PriceNetwork; empty where it has none of that name."""
    listed = (resource.get("status") or {}).get("conditions") or ()
    return next((item for item in listed if item["type"] == name), {})
