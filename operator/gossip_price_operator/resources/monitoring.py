"""Objects of the Prometheus operator, made only where asked for and where their kinds exist. Pure.

Alerts ask what a person would: do prices come, is anybody alone, is the quorum near its edge.
"""

from __future__ import annotations

from typing import Final

from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.metadata import make_metadata

_SCRAPE_INTERVAL: Final = "30s"
#: Rounds without a price until somebody is told.
_LATE_ROUNDS: Final = 3


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


def make_rules(inputs: Inputs, interval_s: int, minimum_signers: int) -> Manifest:
    """Return the alerts, for the interval and threshold of the epoch in force."""
    pods = f'namespace="{inputs.namespace}",app_kubernetes_io_instance="{inputs.name}"'
    nodes = pods + f',app_kubernetes_io_component="{names.NODE}"'
    late_s = _LATE_ROUNDS * interval_s
    rules = [
        _make_alert(
            "GossipPriceNoPrices",
            "time() - max by (pair) (gossip_price_proven_round_timestamp_seconds"
            f"{{{nodes}}}) > {late_s}",
            after="1m",
            severity="critical",
            summary=f"No price of {{{{ $labels.pair }}}} was proven for {_LATE_ROUNDS} rounds.",
            remedy="See the conditions: kubectl describe pricenetwork "
            f"{inputs.name} -n {inputs.namespace}",
        ),
        _make_alert(
            "GossipPriceQuorumAtRisk",
            f"count(gossip_price_peers{{{nodes}}} > 0) <= {minimum_signers}",
            after="10m",
            severity="warning",
            summary=f"No member more than the {minimum_signers} that must sign is connected.",
            remedy="Bring back the nodes that are not ready; one more failure stops the prices.",
        ),
        _make_alert(
            "GossipPriceNodeAlone",
            f"gossip_price_peers{{{nodes}}} == 0",
            after="5m",
            severity="warning",
            summary="Node {{ $labels.gossip_price_io_node }} has no peer.",
            remedy="Look at its log, at the bootstrap and at NetworkPolicies.",
        ),
        _make_alert(
            "GossipPriceStoreDown",
            f"max(gossip_price_store_up{{{nodes}}}) == 0",
            after="5m",
            severity="critical",
            summary="The database answers no node; prices are proven and kept in the journals.",
            remedy="Bring Postgres back; what was kept is stored then.",
        ),
        _make_alert(
            "GossipPriceJournalFailing",
            f"gossip_price_journal_writable{{{nodes}}} == 0",
            after="1m",
            severity="warning",
            summary="Node {{ $labels.gossip_price_io_node }} signs nothing: its journal fails.",
            remedy="The volume is full or broken: raise spec.nodes.storage.size or replace it.",
        ),
        _make_alert(
            "GossipPriceEquivocation",
            f"increase(gossip_price_equivocations_total{{{nodes}}}[1h]) > 0",
            after="0m",
            severity="critical",
            summary="A member signed two reports where it may sign one.",
            remedy="Its key is in two places, or in other hands: the node's log names the member.",
        ),
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _make_metadata(inputs),
        "spec": {
            "groups": [{"name": f"gossip-price-{inputs.namespace}-{inputs.name}", "rules": rules}]
        },
    }


def _make_metadata(inputs: Inputs) -> Manifest:
    metadata = make_metadata(inputs, names.nodes(inputs.name), names.NODE)
    metadata["labels"] = {**inputs.spec.monitoring.labels, **metadata["labels"]}
    return metadata


def _make_alert(
    name: str, expression: str, *, after: str, severity: str, summary: str, remedy: str
) -> Manifest:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": remedy},
    }
