"""A price source in the cluster: the node's own image as `gossip-price feed`.

It stands on the control plane's machine, which no test drains.
"""

from __future__ import annotations

from typing import Any

from e2e.api import Object

PORT = 8080
NAMESPACE = "price-sources"


def make_namespace() -> list[Object]:
    """Return the namespace of all sources."""
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]


def make_feed(name: str, image: str) -> list[Object]:
    """Return a feed's Deployment and Service. Same seed: all feeds tell the same prices."""
    labels = {"app": name}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    container = {
        "name": "feed",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["feed", "--host", "0.0.0.0", "--port", str(PORT), "--volatility", "0.001"],  # noqa: S104 - a pod's own
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 2},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": PORT}]},
    }
    return [deployment, service]


def make_source(name: str) -> Object:
    """Return the feed as a PriceNetwork's own source."""
    return {
        "name": name,
        "url": f"http://{name}.{NAMESPACE}.svc:{PORT}/v2/exchange-rates?currency={{base}}",
        "path": ["data", "rates", "{quote}"],
        "simulated": True,
    }
