"""Identities: one immutable Secret a node, made once from keys that are handed in. Pure.

Such a Secret is created, never applied: what is in it is decided at its birth. Only its labels
and its owner are kept as they should be (`make_kept_metadata`), which needs no key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from gossip_price.crypto import get_address
from gossip_price.network.keys import (
    KeyFormatError,
    compute_peer_id,
    format_address,
    parse_secret,
)
from gossip_price.network.spec_parts import DeletionPolicy
from gossip_price_operator import names
from gossip_price_operator.inputs import Identity, Inputs, Manifest
from gossip_price_operator.resources.metadata import make_metadata

SIGNING_KEY: Final = "signing.key"
IDENTITY_KEY: Final = "identity.key"


class IdentityError(ValueError):
    """A Secret that is no identity; names it and the key, never what is in it."""


def make_node_identity(
    inputs: Inputs, number: int, *, signing: bytes, identity: bytes, network_id: str
) -> Manifest:
    """Return the Secret of a node's two private keys (32 bytes each)."""
    return _make_secret(
        inputs,
        names.node(inputs.name, number),
        number=number,
        keys={SIGNING_KEY: signing, IDENTITY_KEY: identity},
        annotations={
            names.NETWORK_ID: network_id,
            names.ADDRESS: format_address(get_address(signing)),
            names.PEER_ID: compute_peer_id(identity),
        },
    )


def make_bootstrap_identity(
    inputs: Inputs, ordinal: int, *, identity: bytes, network_id: str
) -> Manifest:
    """Return the Secret of a bootstrap's one private key."""
    return _make_secret(
        inputs,
        names.bootstrap_identity(inputs.name, ordinal),
        number=None,
        keys={IDENTITY_KEY: identity},
        annotations={names.NETWORK_ID: network_id, names.PEER_ID: compute_peer_id(identity)},
    )


def _make_secret(
    inputs: Inputs,
    name: str,
    *,
    number: int | None,
    keys: Mapping[str, bytes],
    annotations: Mapping[str, str],
) -> Manifest:
    component = names.BOOTSTRAP if number is None else names.NODE
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": make_metadata(
            inputs,
            name,
            component,
            number=number,
            annotations=annotations,
            is_owned=inputs.spec.deletion_policy is DeletionPolicy.DELETE,
        ),
        "type": "Opaque",
        "immutable": True,
        "data": {
            key: base64.b64encode(secret.hex().encode() + b"\n").decode()
            for key, secret in keys.items()
        },
    }


def make_kept_metadata(inputs: Inputs, secret_name: str, number: int | None) -> Manifest:
    """Return what is applied to an identity Secret that is there: labels and owner alone."""
    component = names.BOOTSTRAP if number is None else names.NODE
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": make_metadata(
            inputs,
            secret_name,
            component,
            number=number,
            is_owned=inputs.spec.deletion_policy is DeletionPolicy.DELETE,
        ),
    }


def read_identity(secret: Mapping[str, Any], *, signs: bool = True) -> Identity:
    """Return whose keys a Secret holds. Raises IdentityError, which never repeats a key."""
    name = str(secret.get("metadata", {}).get("name"))
    identity = _read_key(secret, name, IDENTITY_KEY)
    signing = _read_key(secret, name, SIGNING_KEY) if signs else None
    return Identity(
        secret_name=name,
        peer_id=compute_peer_id(identity),
        address=None if signing is None else format_address(get_address(signing)),
    )


def _read_key(secret: Mapping[str, Any], name: str, key: str) -> bytes:
    data = secret.get("data") or {}
    if key not in data:
        raise IdentityError(f"Secret {name} has no {key}; remedy: put the node's key back there")
    try:
        return parse_secret(base64.b64decode(data[key], validate=True).decode("ascii"))
    except (KeyFormatError, ValueError) as error:
        said = error if isinstance(error, KeyFormatError) else "it is not text in base64"
        raise IdentityError(f"Secret {name}, {key}: {said}") from None
