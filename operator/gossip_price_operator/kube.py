"""The Kubernetes API: the only module that speaks to it. Plain manifests in, plain manifests out.

Knows kinds, verbs and the API's troubles; nothing of networks. Kinds stand in a table, because
discovery costs a dozen requests and a file in the temporary folder that may be of another day.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import client as _client
from kubernetes.aio import config as _config
from kubernetes.aio import dynamic as _dynamic
from kubernetes.aio.client.exceptions import ApiException

from gossip_price_operator.inputs import Manifest
from gossip_price_operator.names import FIELD_MANAGER, GROUP, PLURAL

# The package says that it is typed; these parts of it are not.
api_client: Any = _client
api_config: Any = _config
dynamic: Any = _dynamic

#: A request that takes longer is taken for lost: its connection may be dead without a word.
REQUEST_TIMEOUT_S: Final = 30.0
#: Objects of one kind and one network in one answer; a network of 256 nodes has fewer.
LIST_MAX: Final = 2_000
#: Connections at once: each holds 300 kB of buffers, and more would not make the server any faster.
CONNECTIONS_MAX: Final = 8
_APPLY: Final = "application/apply-patch+yaml"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class Kind:
    """A kind by its group and version, and the plural that stands in the URL."""

    api_version: str
    kind: str
    plural: str


NETWORK: Final = Kind(f"{GROUP}/v1alpha1", "PriceNetwork", PLURAL)
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENT: Final = Kind("v1", "Event", "events")
POD: Final = Kind("v1", "Pod", "pods")
SECRET: Final = Kind("v1", "Secret", "secrets")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
VOLUME_CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SERVICE: Final = Kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET: Final = Kind("apps/v1", "StatefulSet", "statefulsets")
JOB: Final = Kind("batch/v1", "Job", "jobs")
BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_MONITOR: Final = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
PROMETHEUS_RULE: Final = Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules")
CLUSTER_PG: Final = Kind("postgresql.cnpg.io/v1", "Cluster", "clusters")

KINDS: Final[Mapping[tuple[str, str], Kind]] = {
    (kind.api_version, kind.kind): kind for kind in list(globals().values()) if type(kind) is Kind
}


def get_kind(manifest: Mapping[str, Any]) -> Kind:
    """Return the kind of a manifest; a kind that is not in the table is our own mistake."""
    return KINDS[manifest["apiVersion"], manifest["kind"]]


class KubeError(Exception):
    """The API server did not do what it was asked. `retry_s`: it said when to come again."""

    def __init__(self, what: str, status: int, message: str, retry_s: float | None = None) -> None:
        super().__init__(f"{what}: {message}")
        self.status = status
        self.message = message
        self.retry_s = retry_s


class NoClusterError(Exception):
    """Nothing says which API server to speak to, and as whom."""


class UnreachableError(KubeError):
    """No answer: away, cut, or too slow. What was asked may or may not have happened."""


class ConflictError(KubeError):
    """Somebody was faster (409): it exists already, or is not what we read any more."""


class RefusedError(KubeError):
    """It will not be done however often it is asked (400, 403, 422)."""


Count = Callable[[str, str, int], None]
"""Called with method, kind and status of each request; status 0 where there was no answer."""


class Kube:
    """A connection to one API server. Every call ends within REQUEST_TIMEOUT_S."""

    def __init__(self, api: Any, count: Count) -> None:
        self._count = count
        self._client = dynamic.DynamicClient(api)
        self._resources: dict[Kind, Any] = {}
        #: When the API server answered last, whatever it said; the loop's time.
        self.answered_s = 0.0

    @classmethod
    @asynccontextmanager
    async def connect(cls, count: Count) -> AsyncIterator[Self]:
        """Connect as the pod that we are in, or else as the kubeconfig says.

        Raises NoClusterError where neither says how.
        """
        configuration = api_client.Configuration()
        # HTTPS_PROXY is for what lies outside; NO_PROXY seldom names the API server.
        configuration.proxy = None
        configuration.connection_pool_maxsize = CONNECTIONS_MAX
        try:
            if _SERVICE_ACCOUNT.exists() and "KUBECONFIG" not in os.environ:
                api_config.load_incluster_config(client_configuration=configuration)
            else:
                await api_config.load_kube_config(client_configuration=configuration)
        except (api_config.ConfigException, OSError) as error:
            raise NoClusterError(str(error)) from error
        async with api_client.ApiClient(configuration) as api:
            yield cls(api, count)

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object, or None where there is none of that name. Raises KubeError."""
        return await self._call("get", kind, namespace, name, absent_ok=True)

    async def list(self, kind: Kind, namespace: str, selector: str) -> list[Manifest]:
        """Return the objects that a label selector names. Raises KubeError."""
        answer = await self._call(
            "get", kind, namespace, None, label_selector=selector, limit=LIST_MAX, absent_ok=True
        )
        found: list[Manifest] = (answer or {}).get("items") or []
        # A list's items come without what every item of it has in common.
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in found]

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object. Raises ConflictError where its name is there already."""
        return await self._must(
            "post",
            get_kind(manifest),
            manifest["metadata"]["namespace"],
            None,
            body=manifest,
            field_manager=FIELD_MANAGER,
        )

    async def replace(self, manifest: Manifest) -> Manifest:
        """Put an object in the place of the one whose resourceVersion it bears."""
        metadata = manifest["metadata"]
        return await self._must(
            "put",
            get_kind(manifest),
            metadata["namespace"],
            metadata["name"],
            body=manifest,
            field_manager=FIELD_MANAGER,
        )

    async def apply(self, manifest: Manifest, subresource: str = "") -> Manifest:
        """Apply a manifest server-side; what others set and we do not name stays."""
        metadata = manifest["metadata"]
        return await self._must(
            "patch",
            get_kind(manifest),
            metadata["namespace"],
            metadata["name"],
            subresource=subresource,
            body=manifest,
            content_type=_APPLY,
            field_manager=FIELD_MANAGER,
            force_conflicts="true",
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete exactly this object, and in the background what it owns."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("delete", kind, namespace, name, body=body, absent_ok=True)

    async def knows(self, kind: Kind) -> bool:
        """Tell whether this cluster has the kind, whoever brought it."""
        path = f"/apis/{kind.api_version}"
        what = f"kinds of {kind.api_version}"
        answer = await self._send("get", path, what, "APIResourceList", absent_ok=True)
        return any(found.get("kind") == kind.kind for found in (answer or {}).get("resources", ()))

    async def _must(
        self, method: str, kind: Kind, namespace: str, name: str | None, **params: Any
    ) -> Manifest:
        answer = await self._call(method, kind, namespace, name, **params)
        if answer is None:
            raise KubeError(f"{method} {kind.kind}", 404, "no answer")
        return answer

    async def _call(
        self,
        method: str,
        kind: Kind,
        namespace: str,
        name: str | None,
        *,
        subresource: str = "",
        **params: Any,
    ) -> Manifest | None:
        path = self._get_resource(kind).path(name=name, namespace=namespace)
        what = f"{method} {kind.kind} {namespace}/{name or ''}"
        return await self._send(
            method, path + (f"/{subresource}" if subresource else ""), what, kind.kind, **params
        )

    async def _send(
        self,
        method: str,
        path: str,
        what: str,
        kind: str,
        *,
        absent_ok: bool = False,
        **params: Any,
    ) -> Manifest | None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                # Fresh query parameters: the library's default is one list for all calls.
                response = await self._client.request(
                    method, path, serialize=False, query_params=[], header_params={}, **params
                )
                answer: Manifest = await response.json()
        except ApiException as error:
            self._note_answer(method, kind, int(error.status or 0))
            if error.status == 404 and absent_ok:
                return None
            raise _explain(what, error) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._count(method, kind, 0)
            reason = str(error) or type(error).__name__
            raise UnreachableError(what, 0, f"the API server does not answer ({reason})") from error
        self._note_answer(method, kind, int(response.status))
        return answer

    def _note_answer(self, method: str, kind: str, status: int) -> None:
        self._count(method, kind, status)
        self.answered_s = asyncio.get_running_loop().time()

    def _get_resource(self, kind: Kind) -> Any:
        if kind not in self._resources:
            group, _, version = kind.api_version.rpartition("/")
            self._resources[kind] = dynamic.Resource(
                prefix="apis" if group else "api",
                group=group,
                api_version=version,
                kind=kind.kind,
                namespaced=True,
                name=kind.plural,
                client=self._client,
            )
        return self._resources[kind]


def _explain(what: str, error: Any) -> KubeError:
    status = int(error.status or 0)
    message = _read_message(error)
    kind: type[KubeError] = KubeError
    if status == 409:
        kind = ConflictError
    elif status in (400, 403, 422):
        kind = RefusedError
    return kind(what, status, message, _read_retry(error.headers))


def _read_message(error: Any) -> str:
    try:
        summary = error.summary()
    except (AttributeError, ValueError):
        summary = error.reason
    if isinstance(summary, bytes):
        summary = summary.decode(errors="replace")
    return f"{error.status} {str(summary)[:1_000]}"


def _read_retry(headers: Any) -> float | None:
    text = (headers or {}).get("Retry-After", "")
    return min(float(text), 60.0) if str(text).isdecimal() else None
