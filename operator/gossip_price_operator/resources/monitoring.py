"""Objects of the Prometheus operator, made only where asked for and where their kinds exist. Pure.

What the alerts are is said in `alerts`.
"""

from __future__ import annotations

from typing import Final

from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.alerts import NETWORK_ALERTS, Scope, render_alerts
from gossip_price_operator.resources.metadata import make_metadata

_SCRAPE_INTERVAL: Final = "30s"


def make_pod_monitor(inputs: Inputs) -> Manifest:
    """Return the PodMonitor of nodes and bootstraps."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _make_metadata(inputs),
        "spec": {
            "selector": {
                "matchLabels": names.make_selector(inputs.name),
                "matchExpressions": [
                    {
                        "key": names.COMPONENT,
                        "operator": "In",
                        "values": [names.NODE, names.BOOTSTRAP],
                    }
                ],
            },
            "podTargetLabels": [names.INSTANCE, names.COMPONENT, names.NODE_LABEL],
            "podMetricsEndpoints": [
                {"port": "http", "path": "/metrics", "interval": _SCRAPE_INTERVAL}
            ],
        },
    }


def make_rules(inputs: Inputs) -> Manifest:
    """Return the alerts of one network, by the labels that its PodMonitor gives to its series."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _make_metadata(inputs),
        "spec": {
            "groups": [
                {
                    "name": f"gossip-price-{inputs.namespace}-{inputs.name}",
                    "rules": render_alerts(NETWORK_ALERTS, make_scope(inputs)),
                }
            ]
        },
    }


def make_scope(inputs: Inputs) -> Scope:
    """Return which series are this network's."""
    return Scope(
        selector=f'namespace="{inputs.namespace}",app_kubernetes_io_instance="{inputs.name}",'
        f'app_kubernetes_io_component="{names.NODE}"',
        by="namespace, app_kubernetes_io_instance",
        node="pod",
        runbooks=inputs.defaults.runbooks,
    )


def _make_metadata(inputs: Inputs) -> Manifest:
    metadata = make_metadata(inputs, names.nodes(inputs.name), names.NODE)
    metadata["labels"] = {**inputs.spec.monitoring.labels, **metadata["labels"]}
    return metadata
