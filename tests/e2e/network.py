"""A PriceNetwork under test, as its owner sees it: kubectl, the API, the database, a node's HTTP.

Made of `examples/network.yaml`: the same resource, with rounds that a test can wait for and the
price source that stands in the cluster.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

import yaml

from e2e.api import Object, get_condition
from e2e.cluster import Cluster
from e2e.database import Database
from e2e.port_forward import PortForward
from e2e.price_feed import make_source
from e2e.programs import ROOT
from e2e.waiting import eventually

INTERVAL_S: Final = 15
SETTLE_S: Final = 5
#: Every namespace of a network: what it runs must be admitted there, and the artefacts find it.
NAMESPACE_LABELS: Final = {
    "gossip-price.test/e2e": "network",
    "pod-security.kubernetes.io/enforce": "restricted",
}
#: All of a network's pods at once on two cores that others use, too.
READY_S: Final = 300.0
_NODE_LABEL: Final = "gossip-price.io/node"


def make_network(name: str = "eth-usd", **spec: Any) -> Object:
    """Return examples/network.yaml with short rounds; `spec`'s parts are laid over its own."""
    resource: Object = yaml.safe_load((ROOT / "examples" / "network.yaml").read_text())
    resource["metadata"]["name"] = name
    resource["spec"]["price"] |= {"interval": f"{INTERVAL_S}s", "sources": [make_source("feed")]}
    resource["spec"]["consensus"] |= {"settle": f"{SETTLE_S}s"}
    for part, given in spec.items():
        own = resource["spec"].get(part)
        is_laid_over = isinstance(own, dict) and isinstance(given, dict)
        resource["spec"][part] = {**own, **given} if is_laid_over else given
    return resource


class Network:
    """One network by namespace and name; it need not be there yet."""

    def __init__(self, cluster: Cluster, namespace: str, name: str = "eth-usd") -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name
        #: The managed database; whoever gives the network another one says so.
        self.database = Database(cluster, namespace, f"{name}-postgres", f"{name}-postgres")

    # --- the resource ---------------------------------------------------------------------

    def make_namespace(self) -> None:
        """Make the namespace, in which Pod Security `restricted` is enforced."""
        metadata = {"name": self.namespace, "labels": NAMESPACE_LABELS}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def apply(self, resource: Object) -> None:
        """`kubectl apply` the resource in the network's namespace."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(resource))

    def kubectl(self, *arguments: str, stdin: str | None = None, deadline_s: float = 300) -> str:
        """Run kubectl in the network's namespace."""
        return self.cluster.kubectl(
            "-n", self.namespace, *arguments, stdin=stdin, deadline_s=deadline_s
        )

    def get(self) -> Object:
        """Return the resource."""
        return self.cluster.api.get("pricenetworks", self.name, self.namespace)

    def patch_spec(self, **spec: Any) -> None:
        """Change parts of the spec by a merge patch."""
        self.cluster.api.patch("pricenetworks", self.name, self.namespace, {"spec": spec})

    def wait(self, wanted: str = "condition=Ready", deadline_s: float = READY_S) -> None:
        """`kubectl wait` for it."""
        try:
            self.kubectl(
                *("wait", f"pn/{self.name}", f"--for={wanted}", f"--timeout={deadline_s:.0f}s"),
                deadline_s=deadline_s + 30,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.get().get('status'))}") from None

    def wait_condition(
        self, name: str, truth: str, reason: str | None = None, deadline_s: float = READY_S
    ) -> Object:
        """Return the condition as soon as the newest generation's says so."""

        def ask() -> Object | None:
            resource = self.get()
            found = get_condition(resource, name)
            is_new = found.get("observedGeneration") == resource["metadata"]["generation"]
            is_so = found.get("status") == truth and reason in (None, found.get("reason"))
            return found if is_new and is_so else None

        try:
            return eventually(f"{name} is {truth} ({reason})", ask, deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.get().get('status'))}") from None

    @property
    def is_ready(self) -> bool:
        """Whether Ready is True for the newest generation."""
        resource = self.get()
        ready = get_condition(resource, "Ready")
        is_new = ready.get("observedGeneration") == resource["metadata"]["generation"]
        return is_new and ready.get("status") == "True"

    # --- what it is made of ---------------------------------------------------------------

    def list_pods(self, component: str | None = None) -> list[Object]:
        """Return the network's pods that are not on their way out."""
        labels = {"app.kubernetes.io/instance": self.name}
        labels |= {"app.kubernetes.io/component": component} if component else {}
        pods = self.cluster.api.list("pods", self.namespace, labels)
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def find_node_pods(self) -> dict[int, Object]:
        """Return each node's pod by its number."""
        labelled = ((pod["metadata"]["labels"], pod) for pod in self.list_pods("node"))
        return {int(labels[_NODE_LABEL]): pod for labels, pod in labelled if _NODE_LABEL in labels}

    def count_ready_nodes(self) -> int:
        """Return how many nodes' pods are ready."""
        return sum(is_pod_ready(pod) for pod in self.find_node_pods().values())

    def get_document(self) -> str:
        """Return the network document that the operator publishes (JSON)."""
        name = f"{self.name}-epochs"
        found = self.cluster.api.get("configmaps", name, self.namespace)
        document: str = found["data"]["network.json"]
        return document

    def read_identities(self) -> dict[str, str]:
        """Return each identity Secret's name with the peer id that it announces."""
        labels = {"app.kubernetes.io/instance": self.name}
        secrets = self.cluster.api.list("secrets", self.namespace, labels)
        key = "gossip-price.io/peer-id"
        annotated = ((secret["metadata"]["name"], secret) for secret in secrets)
        return {
            name: secret["metadata"]["annotations"][key]
            for name, secret in annotated
            if key in (secret["metadata"].get("annotations") or {})
        }

    def read_secret(self, name: str) -> dict[str, str]:
        """Return a Secret's texts."""
        data: Mapping[str, str] = self.cluster.api.get("secrets", name, self.namespace)["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def ask(self, pod: str, path: str = "/api/v1/status", deadline_s: float = 60) -> str:
        """Return what a pod's HTTP endpoint answers."""
        forward = PortForward(self.cluster, self.namespace, f"pod/{pod}", 8080)

        def ask() -> str | None:
            try:
                url = f"http://127.0.0.1:{forward.open()}{path}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    text: str = answer.read().decode()
                    return text
            except (OSError, urllib.error.URLError):
                forward.close()
                return None

        try:
            return eventually(f"{pod} answers {path}", ask, deadline_s)
        finally:
            forward.close()

    def ask_status(self, pod: str) -> Object:
        """Return what a node tells of itself."""
        status: Object = json.loads(self.ask(pod))
        return status


def is_pod_ready(pod: Object) -> bool:
    """Whether a pod's condition Ready is True."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
