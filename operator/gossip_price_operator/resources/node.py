"""A node: one Deployment of one replica, with a volume of its own for the journal. Pure.

A Deployment each and not a StatefulSet for all, so that any node may be replaced when the quorum
allows it, in the order that `plan` finds. Recreate, because a journal belongs to one process.
The network document is a mounted file that the node watches: it is in no hash and restarts
nobody.
"""

from __future__ import annotations

from typing import Final

from gossip_price.network.source_mapping import format_sources
from gossip_price_operator import names
from gossip_price_operator.inputs import HTTP_PORT, P2P_PORT, Database, Inputs, Manifest
from gossip_price_operator.resources.metadata import add_template_hash, make_metadata
from gossip_price_operator.resources.network_file import FILE_KEY
from gossip_price_operator.resources.pods import (
    NODE_GRACE_S,
    make_container_security,
    make_http_probes,
    make_pod_template,
    make_ports,
)

KEYS_PATH: Final = "/etc/gossip-price/keys"
NETWORK_PATH: Final = "/etc/gossip-price/network"
DATABASE_PATH: Final = "/etc/gossip-price/database"
JOURNAL_PATH: Final = "/var/lib/gossip-price"
#: A node at four messages a second has 89 MB; a journal of seven days is read at its start.
DEFAULT_RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "192Mi"},
    "limits": {"memory": "384Mi"},
}
#: A pod that is gone with its machine: its successor waits this long for the volume.
_PROGRESS_DEADLINE_S: Final = 600


def make_node(inputs: Inputs, number: int) -> Manifest:
    """Return the Deployment of node `number`, whose identity is in `inputs.nodes`."""
    part = inputs.spec.nodes
    name = names.node(inputs.name, number)
    template = make_pod_template(
        inputs,
        part,
        component=names.NODE,
        number=number,
        container={
            "name": "node",
            "image": inputs.node_image,
            "imagePullPolicy": inputs.defaults.image_pull_policy,
            "args": ["node"],
            "env": _make_env(inputs),
            "ports": make_ports(p2p=P2P_PORT),
            "resources": dict(part.resources) or DEFAULT_RESOURCES,
            "securityContext": make_container_security(),
            "volumeMounts": [
                {"name": "keys", "mountPath": KEYS_PATH, "readOnly": True},
                {"name": "network", "mountPath": NETWORK_PATH, "readOnly": True},
                {"name": "database", "mountPath": DATABASE_PATH, "readOnly": True},
                {"name": "journal", "mountPath": JOURNAL_PATH},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            ],
            **make_http_probes(),
        },
        volumes=[
            make_keys_volume(inputs.nodes[number].secret_name),
            make_network_volume(inputs),
            make_database_volume(inputs.database),
            {"name": "journal", "persistentVolumeClaim": {"claimName": name}},
            make_tmp_volume(),
        ],
        spec={
            "serviceAccountName": names.nodes(inputs.name),
            "terminationGracePeriodSeconds": NODE_GRACE_S,
        },
    )
    return add_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": make_metadata(inputs, name, names.NODE, number=number),
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 2,
                "progressDeadlineSeconds": _PROGRESS_DEADLINE_S,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": names.make_selector(inputs.name, names.NODE, number)},
                "template": template,
            },
        }
    )


def make_journal_volume(inputs: Inputs, number: int) -> Manifest:
    """Return the claim of a node's journal. It goes with the network, not with the Deployment.

    So a node that is scaled away and comes back still knows what it has signed.
    """
    storage = inputs.spec.nodes.storage
    return make_volume_claim(
        make_metadata(inputs, names.node(inputs.name, number), names.NODE, number=number),
        storage.size,
        storage.storage_class_name,
    )


def make_volume_claim(metadata: Manifest, size: str, storage_class: str | None) -> Manifest:
    """Return a claim for one pod at a time."""
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def make_address_env(inputs: Inputs) -> list[Manifest]:
    """Return what a process of ours must be told about the pod that it is in.

    It listens on the pod's own address: a host that listens on all would announce 0.0.0.0.
    No variable of ours but settings begins with GP_, because a node refuses names it doesn't know.
    """
    family = inputs.capabilities.ip_family
    any_host = "[::]" if family == "ip6" else "0.0.0.0"  # noqa: S104 - probes come from outside
    return [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "GP_CONNECTIONADDR", "value": f"/{family}/$(POD_IP)/tcp/{P2P_PORT}"},
        {"name": "GP_HTTPADDR", "value": f"{any_host}:{HTTP_PORT}"},
        {"name": "GP_NETWORK_FILE", "value": f"{NETWORK_PATH}/{FILE_KEY}"},
        {"name": "GP_ACCESS", "value": inputs.spec.access.mode.value},
        {"name": "GP_LOGFORMAT", "value": "json"},
    ]


def _make_env(inputs: Inputs) -> list[Manifest]:
    price = inputs.spec.price
    return [
        *make_address_env(inputs),
        {"name": "GP_SIGNINGKEY_FILE", "value": f"{KEYS_PATH}/signing.key"},
        {"name": "GP_IDENTITYKEY_FILE", "value": f"{KEYS_PATH}/identity.key"},
        {"name": "GP_JOURNAL_FILE", "value": f"{JOURNAL_PATH}/journal.sqlite"},
        {"name": "GP_DATABASEURL_FILE", "value": f"{DATABASE_PATH}/url"},
        {"name": "GP_SOURCES", "value": _escape(format_sources(price.sources))},
        {"name": "GP_MINSOURCES", "value": str(price.min_sources)},
    ]


def _escape(text: str) -> str:
    """Kubernetes would fill in $(NAME) and halve every $$."""
    return text.replace("$", "$$")


def make_keys_volume(secret_name: str) -> Manifest:
    """Return a node's keys, readable by the pod's group and nobody else."""
    return {"name": "keys", "secret": {"secretName": secret_name, "defaultMode": 0o440}}


def make_network_volume(inputs: Inputs) -> Manifest:
    """Return the network document as a folder: a file mounted alone would never change."""
    return {"name": "network", "configMap": {"name": names.network_file(inputs.name)}}


def make_database_volume(database: Database) -> Manifest:
    """Return the database's URL as the file `url`, whatever its Secret calls it.

    Optional: a database that is yet to come, or to come back, keeps no node from signing. It
    still appears within a minute of the Secret.
    """
    return {
        "name": "database",
        "secret": {
            "secretName": database.secret_name,
            "items": [{"key": database.key, "path": "url"}],
            "defaultMode": 0o440,
            "optional": True,
        },
    }


def make_tmp_volume() -> Manifest:
    """Return a small place to write: the root is read-only."""
    return {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
