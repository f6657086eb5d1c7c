"""A node of our own image beside a network's, admitted by its policies, with a key nobody knows."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from e2e.api import Object
from e2e.network import Network
from e2e.programs import find_own, run

NAME: Final = "unknown"


class UnknownNode:
    """A pod like node 0's, with keys of its own and an empty journal."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._network = network
        made = run(find_own("gossip-price"), "keys", "new", "--folder", str(folder), "--json")
        self.peer_id: str = json.loads(made)["peerId"]
        files = ("signing.key", "identity.key")
        self._keys = {name: (folder / name).read_text() for name in files}

    def start(self) -> None:
        """Make it and wait until its program runs; ready it is not, alone as it is."""
        self._network.cluster.apply(self._make_secret(), self._make_pod())
        self._network.kubectl(
            *("wait", f"pod/{NAME}", "--timeout=3m"),
            "--for=jsonpath={.status.containerStatuses[0].started}=true",
        )

    def stop(self) -> None:
        """Remove it."""
        self._network.kubectl("delete", f"pod/{NAME}", f"secret/{NAME}")

    def ask_status(self) -> Object:
        """Return what it tells of itself."""
        return self._network.ask_status(NAME)

    def _make_secret(self) -> Object:
        metadata = {"name": NAME, "namespace": self._network.namespace}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": self._keys,
        }

    def _make_pod(self) -> Object:
        name = f"{self._network.name}-node-0"
        api = self._network.cluster.api
        template = deepcopy(api.get("deployments", name, self._network.namespace))["spec"][
            "template"
        ]
        labels = template["metadata"]["labels"]
        del labels["gossip-price.io/node"]
        own: dict[str, Any] = {"keys": {"secret": {"secretName": NAME, "defaultMode": 0o440}}}
        own["journal"] = {"emptyDir": {}}
        spec = template["spec"]
        spec["volumes"] = [
            {"name": volume["name"], **own[volume["name"]]} if volume["name"] in own else volume
            for volume in spec["volumes"]
        ]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "namespace": self._network.namespace, "labels": labels},
            "spec": spec,
        }
