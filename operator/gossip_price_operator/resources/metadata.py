"""The head of every manifest: name, labels, owner; and hashes of what follows. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest


def make_metadata(
    inputs: Inputs,
    name: str,
    component: str,
    *,
    number: int | None = None,
    annotations: Mapping[str, str] | None = None,
    is_owned: bool = True,
) -> Manifest:
    """Return an object's metadata. `is_owned`: it goes when the PriceNetwork goes."""
    metadata: Manifest = {
        "name": name,
        "namespace": inputs.namespace,
        "labels": names.make_labels(inputs.name, component, number),
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    if is_owned:
        metadata["ownerReferences"] = [make_owner_reference(inputs)]
    return metadata


def make_owner_reference(inputs: Inputs) -> Manifest:
    """Return the reference by which the garbage collector removes what a deleted network made.

    It does not block the owner's deletion: that would need rights on the finalizers.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": inputs.name,
        "uid": inputs.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def compute_hash(value: object, length: int = 16) -> str:
    """Return hex digits that change with any JSON value; the order of keys does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def add_template_hash(workload: Manifest) -> Manifest:
    """Return a Deployment or StatefulSet with its pod template's hash as an annotation."""
    template = compute_hash(workload["spec"]["template"])
    metadata = dict(workload["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), names.TEMPLATE_HASH: template}
    return {**workload, "metadata": metadata}


def get_template_hash(workload: Mapping[str, Any]) -> str | None:
    """Return the hash that a workload was rendered with; None where it has none."""
    annotations = workload.get("metadata", {}).get("annotations") or {}
    found = annotations.get(names.TEMPLATE_HASH)
    return found if isinstance(found, str) else None
