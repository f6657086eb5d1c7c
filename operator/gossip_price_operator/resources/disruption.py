"""Disruption budgets: a drain takes no more nodes than the quorum can spare. Pure."""

from __future__ import annotations

from gossip_price.network.document import NetworkFile
from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.metadata import make_metadata


def compute_spare(file: NetworkFile, now_epochs: int = 2) -> int:
    """Return how many members may be down at once: the least N − minimumSigners of the newest
    epochs, because the last one may not be in force yet."""
    return min(
        len(document.members) - document.minimum_signers for document in file.epochs[-now_epochs:]
    )


def make_nodes_budget(inputs: Inputs, file: NetworkFile) -> Manifest:
    """Return the nodes' budget.

    By maxUnavailable, so that nodes on their way in or out are not counted as spare. Pods that
    are not ready anyway may always be evicted: a crash loop must not hold up a drain.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": make_metadata(inputs, names.nodes(inputs.name), names.NODE),
        "spec": {
            "maxUnavailable": compute_spare(file),
            "selector": {"matchLabels": names.make_selector(inputs.name, names.NODE)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def make_bootstrap_budget(inputs: Inputs) -> Manifest:
    """Return the bootstraps' budget: one at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": make_metadata(inputs, names.bootstrap(inputs.name), names.BOOTSTRAP),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.make_selector(inputs.name, names.BOOTSTRAP)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
