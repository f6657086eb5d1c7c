"""Whether an object must be applied: it is not what we want, or not what we made of it. Pure.

Two questions. Did we apply just this manifest (its hash is an annotation)? And does the object
still say what we said (`drift.holds`)? Where it does not right after our own apply, some other
controller or the server itself insists on its own spelling: to apply again would be a hot loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gossip_price_operator.drift import holds
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.names import FIELD_MANAGER, GROUP, MANAGED_BY
from gossip_price_operator.resources.metadata import compute_hash

#: On everything that is applied: the hash of the manifest as it was rendered.
APPLIED_HASH: Final = f"{GROUP}/applied-hash"
_ABSENT: Final = "\0absent"


def add_applied_hash(manifest: Manifest) -> Manifest:
    """Return the manifest with its own hash as an annotation."""
    metadata = dict(manifest["metadata"])
    annotations = {**metadata.get("annotations", {}), APPLIED_HASH: compute_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def compute_shape(wanted: Manifest, live: Mapping[str, Any]) -> str:
    """Return a hash of how the server shows what we applied."""
    return compute_hash(_project(wanted, live))


def must_apply(wanted: Manifest, live: Mapping[str, Any] | None, known_shape: str | None) -> bool:
    """Tell whether `wanted` (with its hash) must be applied over `live`.

    `known_shape` is compute_shape right after our last apply, None where that is not known.
    """
    if live is None:
        return True
    annotations = live.get("metadata", {}).get("annotations") or {}
    if annotations.get(APPLIED_HASH) != wanted["metadata"]["annotations"][APPLIED_HASH]:
        return True
    return is_drifted(wanted, live, known_shape)


def is_drifted(wanted: Manifest, live: Mapping[str, Any], known_shape: str | None) -> bool:
    """Tell whether somebody changed what we applied."""
    return not holds(live, wanted) and compute_shape(wanted, live) != known_shape


def is_ours(live: Mapping[str, Any]) -> bool:
    """Tell whether we ever wrote this object, or somebody put it there in our place.

    A backup that is put back has lost who wrote what; its labels say whose it is.
    """
    metadata = live.get("metadata", {})
    managers = metadata.get("managedFields") or ()
    is_labelled = (metadata.get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER
    return is_labelled or any(entry.get("manager") == FIELD_MANAGER for entry in managers)


def _project(wanted: object, live: object) -> object:
    """Return of `live` what `wanted` speaks of: the same keys; lists of another length whole."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return {key: _project(value, live.get(key, _ABSENT)) for key, value in wanted.items()}
    if isinstance(wanted, list | tuple) and isinstance(live, list | tuple):
        if len(wanted) == len(live):
            return [_project(ours, theirs) for ours, theirs in zip(wanted, live, strict=True)]
        return list(live)
    return live
