"""What the operator may do, and why: the one source of the chart's RBAC rules. Pure.

`make manifests` writes them to the chart; `make test-kube` runs the operator with exactly these.
There is no wildcard, and no right to make rights: pods of a network have no token.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

from gossip_price_operator import names


@dataclass(frozen=True)
class Right:
    """Verbs on kinds of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str


_READ: Final = ("get", "list", "watch")
#: A server-side apply of what is not there yet needs both.
_APPLY: Final = ("create", "patch")

#: Where networks are: in every namespace that is watched.
NETWORKS: Final = (
    Right(names.GROUP, (names.PLURAL,), _READ, "the networks"),
    Right(names.GROUP, (f"{names.PLURAL}/status",), ("patch",), "what is told of them"),
    Right(
        "",
        ("secrets", "persistentvolumeclaims"),
        (*_READ, *_APPLY),
        "keys, passwords, journals, data: made and never deleted; a database's URL is read",
    ),
    Right("", ("configmaps",), (*_READ, *_APPLY), "network documents"),
    Right(
        "",
        ("services", "serviceaccounts"),
        (*_READ, *_APPLY, "delete"),
        "names, and accounts without a token",
    ),
    Right(
        "apps",
        ("deployments", "statefulsets"),
        (*_READ, *_APPLY, "delete"),
        "nodes, bootstraps, Postgres",
    ),
    Right("batch", ("jobs",), (*_READ, "create", "delete"), "migrations: made, never changed"),
    Right("policy", ("poddisruptionbudgets",), (*_READ, *_APPLY), "drains heed the quorum"),
    Right(
        "networking.k8s.io", ("networkpolicies",), (*_READ, *_APPLY, "delete"), "who reaches whom"
    ),
    Right(
        "monitoring.coreos.com",
        ("podmonitors", "prometheusrules"),
        ("get", "list", *_APPLY, "delete"),
        "where the cluster has these kinds",
    ),
    Right("", ("pods",), ("list",), "why one is not ready, and where nodes are asked"),
    Right("", ("events",), ("create",), "what a person should know of a network"),
)
#: In the operator's own namespace.
OWN: Final = (
    Right("coordination.k8s.io", ("leases",), ("get", "create", "update"), "one active operator"),
)
#: In the cluster, where all namespaces are watched.
CLUSTER: Final = (
    Right(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        ("list", "watch"),
        "a kind that comes later is watched from then on",
    ),
)
PARTS: Final = {"networks": NETWORKS, "own": OWN, "cluster": CLUSTER}


def make_rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Return the rules of a Role or ClusterRole."""
    return [
        {
            "apiGroups": [right.group],
            "resources": list(right.resources),
            "verbs": list(right.verbs),
        }
        for right in rights
    ]


def format_rules(part: str) -> str:
    """Return a part's rules as the chart's file holds them, each under its reason."""
    written = ["# Made by `make manifests` from what the operator calls.\n"]
    for right, rule in zip(PARTS[part], make_rules(PARTS[part]), strict=True):
        written.append(f"# {right.why}\n")
        written.append(yaml.safe_dump([rule], sort_keys=False, default_flow_style=None, width=200))
    return "".join(written)


if __name__ == "__main__":
    sys.stdout.write(format_rules(sys.argv[1]))
