"""A gossip node of our own image whose keys nobody knows: else it is as the network's own."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Final

from e2e.api import Object
from e2e.network import Network
from e2e.programs import find_own, run

NAMESPACE: Final = "outsiders"
NAME: Final = "outsider"
_CONNECT: Final = """
import socket, sys
socket.create_connection((sys.argv[1], 8000), 10).close()
"""


def make_member_keys(folder: Path) -> tuple[str, str]:
    """Make a node's two keys in a folder; return its address and its peer id."""
    made = json.loads(
        run(find_own("gossip-price"), "keys", "new", "--folder", str(folder), "--json")
    )
    return made["address"], made["peerId"]


class StrangerNode:
    """A pod outside the network, let through by its NetworkPolicies: only keys are in its way."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._outside = Network(network.cluster, NAMESPACE, NAME)
        self.address, self.peer_id = "", ""

    def start(self, folder: Path) -> None:
        """Make keys, open the policies for it, and run it."""
        self.address, self.peer_id = make_member_keys(folder)
        (folder / "network.json").write_text(self._network.get_document())
        self._outside.make_namespace()
        secret = ("create", "secret", "generic", NAME)
        files = [f"--from-file={folder / name}" for name in ("signing.key", "identity.key")]
        self._outside.kubectl(*secret, *files)
        document = f"--from-file={folder / 'network.json'}"
        self._outside.kubectl("create", "configmap", NAME, document)
        network = self._network
        api, namespace = network.cluster.api, network.namespace
        network.cluster.apply(_make_door(namespace, network.name))
        node = api.get("deployments", f"{network.name}-node-0", namespace)
        network.cluster.apply(_make_pod(node["spec"]["template"]["spec"]))
        self._outside.kubectl("wait", f"pod/{NAME}", "--for=jsonpath={.status.phase}=Running")

    def stop(self) -> None:
        """Take it away, and the door."""
        self._network.kubectl("delete", "networkpolicy", NAME, "--ignore-not-found")
        delete = ("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=2m")
        self._network.cluster.kubectl(*delete)

    def connect(self, address: str) -> None:
        """Open a TCP connection from where it runs to the peers' port; fails where it cannot."""
        self._outside.kubectl("exec", NAME, "--", "python3", "-c", _CONNECT, address)

    def ask_status(self) -> Object:
        """Return what it tells of itself."""
        return self._outside.ask_status(NAME)

    def count(self, event: str) -> int:
        """Return how often something happened to it on the p2p network."""
        return count_events(self._outside, NAME, event)


def count_events(network: Network, pod: str, event: str) -> int:
    """Return a pod's count of a transport event, by its metrics."""
    name = "gossip_price_transport_events_total"
    found = re.search(rf'^{name}\{{event="{event}"\}} (\S+)$', network.ask(pod, "/metrics"), re.M)
    assert found, f"{pod} has no metric {name} of {event}"
    return int(float(found.group(1)))


def _make_door(namespace: str, network: str) -> Object:
    """Return a policy that lets it reach the network's peers beside what the operator allows."""
    outside = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/instance": network}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": outside}], "ports": [{"port": 8000}]}],
        },
    }


def _make_pod(node: Object) -> Object:
    spec = copy.deepcopy(node)
    del spec["serviceAccountName"], spec["serviceAccount"], spec["topologySpreadConstraints"]
    (container,) = spec["containers"]
    container["env"] = [entry for entry in container["env"] if "DATABASE" not in entry["name"]]
    mounts = container["volumeMounts"]
    container["volumeMounts"] = [mount for mount in mounts if mount["name"] != "database"]
    own: dict[str, Object] = {
        "keys": {"secret": {"secretName": NAME, "defaultMode": 0o440}},
        "network": {"configMap": {"name": NAME}},
        "journal": {"emptyDir": {}},
        "tmp": {"emptyDir": {}},
    }
    spec["volumes"] = [{"name": name, **source} for name, source in own.items()]
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
