"""What the operator's objects are called: names, labels, annotations. Pure.

Every name is the network's with a suffix of its own kind, at most 63 characters. One that would
be longer is cut, and a hash of the whole network name takes the place of what was lost, so that
two long names with a common beginning stay apart. No suffix ends with another one: a network
called `eth-bootstrap` gets no object that the network `eth` has, too.
"""

from __future__ import annotations

import hashlib
from typing import Final

from gossip_price.network.spec import API_VERSION, KIND

GROUP: Final = "gossip-price.io"
VERSION: Final = API_VERSION.partition("/")[2]
PLURAL: Final = "pricenetworks"
#: The field manager of every server-side apply.
FIELD_MANAGER: Final = "gossip-price-operator"

NAME_LENGTH_MAX: Final = 63
#: A StatefulSet's pods carry `<name>-<10 characters>` as a label, which has 63 at most.
STATEFUL_SET_LENGTH_MAX: Final = 52
_HASH_LENGTH: Final = 8

APP_NAME: Final = "app.kubernetes.io/name"
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
PART_OF: Final = "app.kubernetes.io/part-of"
#: A node's number, on everything that belongs to it.
NODE_LABEL: Final = f"{GROUP}/node"
#: On a workload: the hash of its pod template as it was rendered; another one is a rollout.
TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
#: On everything that identifies a network: the network id that it belongs to.
NETWORK_ID: Final = f"{GROUP}/network-id"
#: On an identity Secret: what the public may know of its keys.
ADDRESS: Final = f"{GROUP}/address"
PEER_ID: Final = f"{GROUP}/peer-id"
#: On a database's volume: the Postgres major version that made it.
POSTGRES_MAJOR: Final = f"{GROUP}/postgres-major"

NODE: Final = "node"
BOOTSTRAP: Final = "bootstrap"
POSTGRES: Final = "postgres"
MIGRATION: Final = "migration"
#: The value of `component` on what belongs to the whole network.
NETWORK: Final = "network"


def make_name(network: str, suffix: str, length_max: int = NAME_LENGTH_MAX) -> str:
    """Return `<network>-<suffix>` in at most `length_max` characters, cut and hashed if need be."""
    name = f"{network}-{suffix}"
    if len(name) <= length_max:
        return name
    digest = hashlib.sha256(network.encode()).hexdigest()[:_HASH_LENGTH]
    kept = network[: length_max - len(suffix) - _HASH_LENGTH - 2].rstrip("-")
    return f"{kept}-{digest}-{suffix}"


def node(network: str, number: int) -> str:
    """Return the name of a node's Deployment, identity Secret and journal volume."""
    return make_name(network, f"node-{number}")


def nodes(network: str) -> str:
    """Return the name of what all nodes share: Service, ServiceAccount, disruption budget …"""
    return make_name(network, "nodes")


def bootstrap(network: str) -> str:
    """Return the name of the bootstrap's StatefulSet, Service and ServiceAccount."""
    return make_name(network, "bootstrap", STATEFUL_SET_LENGTH_MAX)


def bootstrap_identity(network: str, ordinal: int) -> str:
    """Return the name of a bootstrap pod and of its identity Secret."""
    return f"{bootstrap(network)}-{ordinal}"


def postgres(network: str) -> str:
    """Return the name of the managed database: StatefulSet, Service, Secret, volume."""
    return make_name(network, "postgres", STATEFUL_SET_LENGTH_MAX)


def network_file(network: str) -> str:
    """Return the name of the ConfigMap that the nodes watch."""
    return make_name(network, "network")


def epochs_record(network: str) -> str:
    """Return the name of the ConfigMap that no pod mounts: every epoch made so far."""
    return make_name(network, "epochs")


def migration(network: str, digest: str) -> str:
    """Return the name of a migration Job; `digest` tells image and database apart."""
    return make_name(network, f"migrate-{digest}")


def network_policy(network: str, purpose: str) -> str:
    """Return the name of a NetworkPolicy, by what it is for."""
    return make_name(network, f"allow-{purpose}")


def make_labels(network: str, component: str, number: int | None = None) -> dict[str, str]:
    """Return the labels of an object; `number` where it belongs to one node."""
    labels = {
        **make_selector(network, component, number),
        PART_OF: "gossip-price",
        MANAGED_BY: FIELD_MANAGER,
    }
    return dict(sorted(labels.items()))


def make_selector(
    network: str, component: str | None = None, number: int | None = None
) -> dict[str, str]:
    """Return what selects a network's pods, those of one component, or that of one node."""
    selector = {APP_NAME: "gossip-price", INSTANCE: network}
    if component is not None:
        selector[COMPONENT] = component
    if number is not None:
        selector[NODE_LABEL] = str(number)
    return selector


def format_selector(selector: dict[str, str]) -> str:
    """Write a selector as the API's list calls and the scale subresource take it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


__all__ = ["API_VERSION", "KIND"]
