"""Somebody in another namespace who tries to connect to a network's pods."""

from __future__ import annotations

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.images import NODE

NAMESPACE = "strangers"
NAME = "stranger"
#: One that is let through is there in milliseconds. Policies answer with nothing or a refusal.
_PATIENCE_S = 3
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
    print("reached")
except (TimeoutError, ConnectionRefusedError):
    print("blocked")
"""


class Stranger:
    """A pod of its own, with Python."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def start(self) -> None:
        """Make the pod and wait until it runs."""
        metadata = {"name": NAMESPACE}
        self._cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._cluster.apply(_make_pod())
        where = ("-n", NAMESPACE, "wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=2m")
        self._cluster.kubectl(*where)

    def try_to_reach(self, address: str, port: int) -> str:
        """Return `reached` or `blocked`."""
        command = ("python3", "-c", _CONNECT, address, str(port), str(_PATIENCE_S))
        return self._cluster.kubectl("-n", NAMESPACE, "exec", NAME, "--", *command).strip()


def _make_pod() -> Object:
    container = {
        "name": "python",
        "image": str(NODE),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import signal; signal.pause()"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
