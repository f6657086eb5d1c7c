"""Whether an object must be applied: it is not what we want, or not what we made of it. Pure.

Two questions. Did we apply just this manifest (its hash is an annotation)? And does the object
still say what we said? The server writes some values in its own spelling (`1000m` as `1`), and
controllers fill in defaults: what differs right after our own apply is that, and no drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gossip_price_operator.inputs import Manifest
from gossip_price_operator.names import FIELD_MANAGER, GROUP
from gossip_price_operator.resources.metadata import compute_hash

#: On everything that is applied: the hash of the manifest as it was rendered.
APPLIED_HASH: Final = f"{GROUP}/applied-hash"
_ABSENT: Final = "\0absent"


def add_applied_hash(manifest: Manifest) -> Manifest:
    """Return the manifest with its own hash as an annotation."""
    metadata = dict(manifest["metadata"])
    annotations = {**metadata.get("annotations", {}), APPLIED_HASH: compute_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def project(wanted: object, live: object) -> object:
    """Return of `live` what `wanted` speaks of: the same keys, and lists whole in number."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return {key: project(value, live.get(key, _ABSENT)) for key, value in wanted.items()}
    if isinstance(wanted, list | tuple) and isinstance(live, list | tuple):
        if len(wanted) != len(live):
            return list(live)
        return [project(ours, theirs) for ours, theirs in zip(wanted, live, strict=True)]
    return live


def compute_shape(wanted: Manifest, live: Mapping[str, Any]) -> str:
    """Return a hash of how the server shows what we applied."""
    return compute_hash(project(wanted, live))


def must_apply(wanted: Manifest, live: Mapping[str, Any] | None, known_shape: str | None) -> bool:
    """Tell whether `wanted` (with its hash) must be applied over `live`.

    `known_shape` is compute_shape right after our last apply, None where that is not known.
    """
    if live is None:
        return True
    annotations = live.get("metadata", {}).get("annotations") or {}
    if annotations.get(APPLIED_HASH) != wanted["metadata"]["annotations"][APPLIED_HASH]:
        return True
    shown = project(wanted, live)
    return shown != _as_json(wanted) and compute_hash(shown) != known_shape


def is_ours(live: Mapping[str, Any]) -> bool:
    """Tell whether we ever wrote this object."""
    managers = live.get("metadata", {}).get("managedFields") or ()
    return any(entry.get("manager") == FIELD_MANAGER for entry in managers)


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    return value
