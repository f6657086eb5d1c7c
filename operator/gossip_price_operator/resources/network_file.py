"""The network document in two ConfigMaps: the one that nodes watch, and the record. Pure.

The record holds every epoch made so far and is mounted nowhere; the other is made from it. So an
edit or a deletion of what the nodes see is put back, and only the loss of both is a loss. With
`deletionPolicy: Retain` both stay with the identities: a new network of the same name goes on
with the network id that its stored prices bear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gossip_price.network.document import NetworkFile
from gossip_price.network.spec_parts import DeletionPolicy
from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.metadata import make_metadata

FILE_KEY: Final = "network.json"


def make_network_files(inputs: Inputs, file: NetworkFile) -> list[Manifest]:
    """Return the record and the nodes' ConfigMap, in the order in which they are written."""
    text = file.encode().decode()
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": make_metadata(
                inputs,
                name,
                names.NETWORK,
                annotations={names.NETWORK_ID: file.epochs[0].network_id},
                is_owned=inputs.spec.deletion_policy is DeletionPolicy.DELETE,
            ),
            "data": {FILE_KEY: text},
        }
        for name in (names.epochs_record(inputs.name), names.network_file(inputs.name))
    ]


def read_network_file(config_map: Mapping[str, Any], key: str = FILE_KEY) -> NetworkFile:
    """Return the network file in a ConfigMap. Raises DocumentError, which names the field."""
    return NetworkFile.parse((config_map.get("data") or {}).get(key, ""))
