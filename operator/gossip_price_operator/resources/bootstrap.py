"""The bootstraps: a StatefulSet, because newcomers must find them by name. Pure.

They hold an identity and nothing else: no journal, no database, no signing key. Their keys are
mounted whole and each pod takes the one that bears its name; so growing from one bootstrap to
two changes no pod template and restarts nobody.
"""

from __future__ import annotations

from typing import Final

from gossip_price_operator import names
from gossip_price_operator.inputs import P2P_PORT, Inputs, Manifest
from gossip_price_operator.resources.keys import IDENTITY_KEY
from gossip_price_operator.resources.metadata import add_template_hash, make_metadata
from gossip_price_operator.resources.node import (
    KEYS_PATH,
    NETWORK_PATH,
    make_address_env,
    make_network_volume,
    make_tmp_volume,
)
from gossip_price_operator.resources.pods import (
    NODE_GRACE_S,
    make_container_security,
    make_http_probes,
    make_pod_template,
    make_ports,
)

DEFAULT_RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "256Mi"},
}
#: As many as `bootstrap.replicas` may be.
REPLICAS_MAX: Final = 9


def make_bootstrap(inputs: Inputs) -> Manifest:
    """Return the bootstraps' StatefulSet."""
    part = inputs.spec.bootstrap
    name = names.bootstrap(inputs.name)
    selector = names.make_selector(inputs.name, names.BOOTSTRAP)
    template = make_pod_template(
        inputs,
        part,
        component=names.BOOTSTRAP,
        container={
            "name": "bootstrap",
            "image": part.image or inputs.defaults.node_image,
            "imagePullPolicy": inputs.defaults.image_pull_policy,
            "args": ["node"],
            "env": [
                *make_address_env(inputs),
                {"name": "GP_BOOTSTRAP", "value": "true"},
                {"name": "GP_IDENTITYKEY_FILE", "value": f"{KEYS_PATH}/$(POD_NAME)/{IDENTITY_KEY}"},
            ],
            "ports": make_ports(p2p=P2P_PORT),
            "resources": dict(part.resources) or DEFAULT_RESOURCES,
            "securityContext": make_container_security(),
            "volumeMounts": [
                {"name": "keys", "mountPath": KEYS_PATH, "readOnly": True},
                {"name": "network", "mountPath": NETWORK_PATH, "readOnly": True},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            ],
            **make_http_probes(),
        },
        volumes=[_make_keys_volume(inputs), make_network_volume(inputs), make_tmp_volume()],
        spec={"serviceAccountName": name, "terminationGracePeriodSeconds": NODE_GRACE_S},
    )
    return add_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": make_metadata(inputs, name, names.BOOTSTRAP),
            "spec": {
                "replicas": part.replicas,
                "revisionHistoryLimit": 2,
                "serviceName": name,
                # They don't wait for each other: after an outage all come back at once.
                "podManagementPolicy": "Parallel",
                "updateStrategy": {"type": "RollingUpdate"},
                "selector": {"matchLabels": selector},
                "template": template,
            },
        }
    )


def _make_keys_volume(inputs: Inputs) -> Manifest:
    """Return every bootstrap's key, in a folder of its pod's name; those of no pod are absent."""
    sources = []
    for ordinal in range(REPLICAS_MAX):
        name = names.bootstrap_identity(inputs.name, ordinal)
        items = [{"key": IDENTITY_KEY, "path": f"{name}/{IDENTITY_KEY}"}]
        sources.append({"secret": {"name": name, "items": items, "optional": True}})
    return {"name": "keys", "projected": {"sources": sources, "defaultMode": 0o440}}


def make_bootstrap_addresses(inputs: Inputs) -> tuple[str, ...]:
    """Return the multiaddresses at which nodes find our bootstraps, by ordinal.

    The name ends with `svc` and the pod's search list does the rest: so it holds in clusters of
    any domain. Pods of other clusters need addresses of their own (`access.peers.bootstrap`).
    """
    service = names.bootstrap(inputs.name)
    return tuple(
        f"/dns/{names.bootstrap_identity(inputs.name, ordinal)}.{service}.{inputs.namespace}.svc"
        f"/tcp/{P2P_PORT}/p2p/{identity.peer_id}"
        for ordinal, identity in sorted(inputs.bootstraps.items())
        if ordinal < inputs.spec.bootstrap.replicas
    )


def make_bootstrap_service(inputs: Inputs) -> Manifest:
    """Return the headless Service that gives each bootstrap its name, ready or not."""
    name = names.bootstrap(inputs.name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(inputs, name, names.BOOTSTRAP),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.make_selector(inputs.name, names.BOOTSTRAP),
            "ports": [
                {"name": "p2p", "port": P2P_PORT, "targetPort": "p2p", "protocol": "TCP"},
            ],
        },
    }
