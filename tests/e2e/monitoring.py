"""The kinds of the Prometheus operator, by the shape of their URLs, and what it makes of them."""

from __future__ import annotations

from typing import Any, Final

from e2e.api import Object
from e2e.cluster import Cluster

_GROUP: Final = "monitoring.coreos.com"
_KINDS: Final = {"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"}


def make_kinds(cluster: Cluster) -> None:
    """Let the cluster know PodMonitor and PrometheusRule; that nobody acts on them."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    for plural, kind in _KINDS.items():
        spec = {
            "group": _GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version | {"schema": {"openAPIV3Schema": anything}}],
        }
        cluster.apply(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{_GROUP}"},
                "spec": spec,
            }
        )
    names = (f"crd/{plural}.{_GROUP}" for plural in _KINDS)
    cluster.kubectl("wait", *names, "--for=condition=Established", "--timeout=1m")


def selects(monitor: Object, pod: Object) -> bool:
    """Tell whether a PodMonitor's selector takes a pod of its namespace."""
    selector, labels = monitor["spec"]["selector"], pod["metadata"]["labels"]
    assert all(one["operator"] == "In" for one in selector.get("matchExpressions", ()))
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ())
    )


def find_port(monitor: Object, pod: Object) -> int:
    """Return the number of the port that a PodMonitor names."""
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    ports = [port for box in pod["spec"]["containers"] for port in box.get("ports", ())]
    return next(int(port["containerPort"]) for port in ports if port["name"] == endpoint["port"])


def make_labels(monitor: Object, pod: Object) -> dict[str, str]:
    """Return the labels that the Prometheus operator's scrape adds to the series of a pod."""
    metadata: dict[str, Any] = monitor["metadata"]
    of_pod = {
        _to_label(name): pod["metadata"]["labels"][name]
        for name in monitor["spec"].get("podTargetLabels", ())
        if name in pod["metadata"]["labels"]
    }
    return of_pod | {
        "job": f"{metadata['namespace']}/{metadata['name']}",
        "namespace": pod["metadata"]["namespace"],
        "pod": pod["metadata"]["name"],
        "container": pod["spec"]["containers"][0]["name"],
        "endpoint": monitor["spec"]["podMetricsEndpoints"][0]["port"],
    }


def _to_label(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
