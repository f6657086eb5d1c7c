"""Two organisations that run one network: a document of four members, two of them each one's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.network import INTERVAL_S, SETTLE_S, Network, make_network
from e2e.programs import find_own, run
from e2e.waiting import eventually

NAMES: Final = ("north", "south")
_MEMBERS: Final = 4
_EACH: Final = _MEMBERS // len(NAMES)


class Federation:
    """The document and the keys, and each organisation's network in a namespace of its own."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        run(
            find_own("gossip-price"),
            *("network", "new", "--folder", str(folder), "--members", str(_MEMBERS)),
            *("--interval", f"{INTERVAL_S}s", "--settle", f"{SETTLE_S}s"),
        )
        self.document = (folder / "network.json").read_text()
        self._folder = folder
        self.networks = [Network(cluster, name) for name in NAMES]

    def start(self) -> None:
        """Apply one, then the other, which knows the bootstrap of the one; then tell the first.

        Neither is waited for.
        """
        for number, network in enumerate(self.networks):
            network.make_namespace()
            network.cluster.apply(*self._make_objects(network, number))
        north, south = self.networks
        north.apply(make_member_network())
        south.apply(make_member_network(_find_bootstrap(north)))
        north.apply(make_member_network(_find_bootstrap(south)))

    def stop(self) -> None:
        """Remove both."""
        for network in self.networks:
            network.kubectl("delete", "namespace", network.namespace, "--wait=false")

    def _make_objects(self, network: Network, number: int) -> list[Object]:
        """Return the document and an organisation's own keys; nobody has anybody else's."""
        where = {"namespace": network.namespace}
        objects: list[Object] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "document", **where},
                "data": {"network.json": self.document},
            }
        ]
        for own in range(_EACH):
            folder = self._folder / f"node-{number * _EACH + own + 1}"
            keys = {name: (folder / name).read_text() for name in ("signing.key", "identity.key")}
            metadata = {"name": f"keys-{own}", **where}
            objects.append(
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys}
            )
        return objects


def make_member_network(*bootstraps: str) -> Object:
    """Return an organisation's PriceNetwork; `bootstraps` are the other's."""
    resource = make_network(
        documentRef={"name": "document"},
        nodes={"count": _EACH},
        keys={"existing": [{"node": n, "secretName": f"keys-{n}"} for n in range(_EACH)]},
        access={"peers": {"bootstrap": list(bootstraps)}},
    )
    # The document says it.
    for field in ("pairs", "consensus"):
        del resource["spec"][field]
    del resource["spec"]["price"]["interval"]
    return resource


def _find_bootstrap(network: Network) -> str:
    """Return the address of a network's bootstrap, as soon as it has an identity."""
    name = f"{network.name}-bootstrap"
    peer_id = eventually(
        "the bootstrap has an identity", lambda: network.read_identities().get(f"{name}-0")
    )
    host = f"{name}-0.{name}.{network.namespace}.svc.cluster.local"
    return f"/dns4/{host}/tcp/8000/p2p/{peer_id}"
