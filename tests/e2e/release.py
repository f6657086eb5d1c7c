"""The operator as its users install it: the chart, by helm."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from e2e.cluster import Cluster
from e2e.images import NODE, OPERATOR, Image, get_postgres
from e2e.programs import ROOT

CHART: Final = ROOT / "charts" / "gossip-price"
NAME: Final = "gossip-price"
NAMESPACE: Final = "gossip-price-system"
#: Kubelets of this cluster bring a new document to the nodes within ten seconds or so.
EPOCH_LEAD_S: Final = 25
_VALUES: Final = {
    "operator": {"epochLead": f"{EPOCH_LEAD_S}s", "resync": "10s", "resyncMoving": "2s"},
}


class Release:
    """The chart's one release in the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        #: When the first `helm install` began, on the monotonic clock.
        self.began = 0.0

    def install(self) -> None:
        """`helm install --wait`."""
        self.began = self.began or time.monotonic()
        self._run_helm("install", CHART, OPERATOR)

    def upgrade(self, chart: Path, operator: Image) -> None:
        """`helm upgrade --wait` to another chart and operator; networks keep their image."""
        self._run_helm("upgrade", chart, operator)

    def uninstall(self) -> None:
        """`helm uninstall --wait`."""
        self._cluster.helm("uninstall", NAME, "-n", NAMESPACE, "--wait", "--timeout=2m")

    @property
    def is_installed(self) -> bool:
        """Whether helm knows the release."""
        listed = json.loads(self._cluster.helm("list", "-n", NAMESPACE, "-a", "-o", "json"))
        return any(release["name"] == NAME for release in listed)

    def scale(self, replicas: int) -> None:
        """Scale the operator's Deployment and wait until its pods are as many."""
        where = ("-n", NAMESPACE)
        self._cluster.kubectl(*where, "scale", f"deployment/{NAME}", f"--replicas={replicas}")
        if replicas:
            self._cluster.kubectl(*where, "rollout", "status", f"deployment/{NAME}", "--timeout=3m")
        else:
            selector = ("-l", f"app.kubernetes.io/instance={NAME}")
            wait = ("wait", "pods", *selector, "--for=delete", "--timeout=2m")
            self._cluster.kubectl(*where, *wait)

    def _run_helm(self, verb: str, chart: Path, operator: Image) -> None:
        images = {
            "image": {"repository": operator.repository, "tag": operator.tag},
            "nodeImage": {"repository": NODE.repository, "tag": NODE.tag},
            "postgresImage": get_postgres(),
        }
        self._cluster.helm(
            *(verb, NAME, str(chart), "-n", NAMESPACE, "--create-namespace"),
            *("--wait", "--timeout=5m", f"--set-json=operator={json.dumps(_VALUES['operator'])}"),
            *(f"--set-json={name}={json.dumps(value)}" for name, value in images.items()),
        )
