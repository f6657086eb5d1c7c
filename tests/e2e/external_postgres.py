"""A Postgres that somebody else runs: a Deployment with a volume, which the operator knows not."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from e2e.api import Object
from e2e.database import Database
from e2e.images import get_postgres
from e2e.network import Network, make_network

NAME = "prices-db"
URL_SECRET = "prices-db-url"
PASSWORD = "correct horse/battery@staple"
_USER = 999


def make_external_network() -> Object:
    """Return the network that is to store its prices there."""
    return make_network(postgres={"external": {"secretName": URL_SECRET}})


class ExternalPostgres:
    """The server in a network's namespace, and the Secret that its network reads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.database = Database(network.cluster, network.namespace, NAME, URL_SECRET)

    def start(self) -> None:
        """Make the server; it need not be ready yet."""
        self._network.cluster.apply(*_make_server(self._network.namespace))

    def scale(self, replicas: int) -> None:
        """Take the server away, or bring it back."""
        self._network.kubectl("scale", f"deployment/{NAME}", f"--replicas={replicas}")

    def write_secret(self, password: str) -> None:
        """Say to the network how to reach the server."""
        host = f"{NAME}.{self._network.namespace}.svc"
        url = f"postgresql://prices:{quote(password, safe='')}@{host}:5432/prices"
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": URL_SECRET, "namespace": self._network.namespace},
            "stringData": {"url": url},
        }
        self._network.cluster.apply(secret)


def _make_server(namespace: str) -> list[Object]:
    labels = {"app": NAME}
    metadata = {"name": NAME, "namespace": namespace, "labels": labels}
    environ = {
        "POSTGRES_USER": "prices",
        "POSTGRES_PASSWORD": PASSWORD,
        "POSTGRES_DB": "prices",
        "PGDATA": "/var/lib/postgresql/data/pgdata",
    }
    mounts = {"data": "/var/lib/postgresql/data", "run": "/var/run/postgresql"}
    container: dict[str, Any] = {
        "name": "postgres",
        "image": get_postgres(),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in environ.items()],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "prices"]},
            "periodSeconds": 2,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
            {"name": "run", "emptyDir": {}},
        ],
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 5432}]},
    }
    return [claim, deployment, service]
