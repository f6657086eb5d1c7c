"""What all our pods have in common: Pod Security `restricted`, spread, the user's overrides. Pure.

`merge` is how `podTemplate` is laid over what we render: mappings are merged, lists of mappings
with a `name` (containers, volumes, env, ports, imagePullSecrets) by that name, mounts by their
`mountPath`, tolerations and other lists are put after ours, and anything else replaces ours.
That is Kubernetes' strategic merge as far as a pod needs it, without its directives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gossip_price.network.spec_parts import PodPart
from gossip_price_operator import names
from gossip_price_operator.inputs import HTTP_PORT, Inputs, Manifest

#: No user of the host and none of the image's: any number that is not root does.
USER: Final = 65532
#: A node leaves within 3 s; the rest is for a slow disk.
NODE_GRACE_S: Final = 30
#: By what the elements of a list are told apart, the first that all of them have.
_MERGE_KEYS: Final = ("name", "mountPath", "topologyKey")
SPREAD_KEYS: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def make_container_security() -> Manifest:
    """Return what a container may: nothing that Pod Security `restricted` forbids."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def make_pod_security(user: int = USER) -> Manifest:
    """Return a pod's security context; volumes belong to the group of `user`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def make_http_probes() -> Manifest:
    """Return the probes of a process of ours.

    Starting may take two minutes (libp2p's import on a busy machine, a long journal); after that
    a process that makes no progress for a minute is started anew.
    """

    def probe(path: str, period_s: int, failures: int) -> Manifest:
        return {
            "httpGet": {"path": path, "port": "http"},
            "periodSeconds": period_s,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        }

    return {
        "startupProbe": probe("/livez", 2, 60),
        "livenessProbe": probe("/livez", 20, 3),
        "readinessProbe": probe("/readyz", 5, 2),
    }


def make_ports(*, p2p: int) -> list[Manifest]:
    """Return the ports of a process of ours."""
    return [
        {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        {"name": "p2p", "containerPort": p2p, "protocol": "TCP"},
    ]


def make_spread(selector: Mapping[str, str]) -> list[Manifest]:
    """Return the default spread: over machines and zones, as far as it goes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(selector)},
        }
        for key in SPREAD_KEYS
    ]


def make_pod_template(
    inputs: Inputs,
    part: PodPart,
    *,
    component: str,
    number: int | None = None,
    container: Manifest,
    volumes: Sequence[Manifest],
    spec: Mapping[str, Any],
) -> Manifest:
    """Return a pod template: one container, and the part of the spec that its kind has."""
    labels = names.make_selector(inputs.name, component, number)
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": make_pod_security(),
        "containers": [container],
        "volumes": list(volumes),
        # The selector has no number: all nodes of the network keep apart from each other.
        "topologySpreadConstraints": [dict(given) for given in part.topology_spread_constraints]
        or make_spread(names.make_selector(inputs.name, component)),
        **spec,
    }
    if part.affinity:
        pod["affinity"] = dict(part.affinity)
    if inputs.defaults.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in inputs.defaults.image_pull_secrets]
    template: Manifest = merge({"metadata": {"labels": labels}, "spec": pod}, part.pod_template)
    # Ours again: a selector that no longer finds its pods is a Deployment that never ends.
    template["metadata"]["labels"] |= labels
    return template


def merge(ours: Any, theirs: Any) -> Any:
    """Return `theirs` laid over `ours` (see the module), neither of them changed."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        merged = {key: merge(ours[key], theirs[key]) for key in ours if key in theirs}
        return {**ours, **theirs, **merged}
    if isinstance(ours, Sequence) and isinstance(theirs, Sequence) and not _is_text(ours, theirs):
        return _merge_lists(ours, theirs)
    return theirs


def _merge_lists(ours: Sequence[Any], theirs: Sequence[Any]) -> list[Any]:
    both = [*ours, *theirs]
    key = next(
        (
            key
            for key in _MERGE_KEYS
            if all(isinstance(element, Mapping) and key in element for element in both)
        ),
        None,
    )
    if key is None:
        return [*ours, *(element for element in theirs if element not in ours)]
    merged = {element[key]: element for element in ours}
    for element in theirs:
        name = element[key]
        merged[name] = merge(merged[name], element) if name in merged else element
    return list(merged.values())


def _is_text(*values: object) -> bool:
    return any(isinstance(value, str | bytes) for value in values)
