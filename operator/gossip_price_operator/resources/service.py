"""What all nodes share: the Service through which prices are read, and accounts without a token.
Pure."""

from __future__ import annotations

from gossip_price_operator import names
from gossip_price_operator.inputs import HTTP_PORT, Inputs, Manifest
from gossip_price_operator.resources.metadata import make_metadata


def make_nodes_service(inputs: Inputs) -> Manifest:
    """Return the Service of the nodes' HTTP: API and live page, of any node that is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(inputs, names.nodes(inputs.name), names.NODE),
        "spec": {
            "type": "ClusterIP",
            "selector": names.make_selector(inputs.name, names.NODE),
            "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def make_service_account(inputs: Inputs, name: str, component: str) -> Manifest:
    """Return an account that no pod gets a token of: nothing of ours speaks to the API."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": make_metadata(inputs, name, component),
        "automountServiceAccountToken": False,
    }
