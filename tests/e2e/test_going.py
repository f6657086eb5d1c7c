"""Row 7: a network goes while nobody is there to help it, and comes back to what it left."""

from __future__ import annotations

from pathlib import Path

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.network import Network
from e2e.prover import prove
from e2e.release import Release
from e2e.waiting import eventually

KINDS = (
    "pods", "deployments", "replicasets", "statefulsets", "jobs", "services", "serviceaccounts",
    "poddisruptionbudgets", "networkpolicies", "persistentvolumeclaims", "secrets", "configmaps",
)  # fmt: skip


def test_deleted_without_the_operator_it_goes_and_a_new_one_takes_up_what_it_left(
    cluster: Cluster, release: Release, two_pairs: Network, tmp_path: Path
) -> None:
    name, identities = two_pairs.name, two_pairs.read_identities()
    network_id = two_pairs.get()["status"]["networkId"]
    before = {price.id for price in two_pairs.database.read()}
    assert before
    resource = strip(two_pairs.get())

    release.scale(0)
    two_pairs.kubectl("delete", "pn", name, "--timeout=60s")
    kept = {
        *(f"secrets/{secret}" for secret in (*identities, f"{name}-postgres")),
        *(f"configmaps/{name}-{suffix}" for suffix in ("network", "epochs")),
        f"persistentvolumeclaims/{name}-postgres",
    }
    eventually("nothing but what is kept is there", lambda: list_objects(two_pairs) == kept, 180)

    release.scale(1)
    two_pairs.apply(resource)
    two_pairs.wait()
    assert two_pairs.read_identities() == identities
    assert two_pairs.get()["status"]["networkId"] == network_id
    newest = max(price.round for price in two_pairs.database.read())
    two_pairs.database.wait_for_price(after=newest)
    assert before <= {price.id for price in two_pairs.database.read()}
    prove(two_pairs.database, two_pairs.get_document(), tmp_path)

    release.scale(0)
    cluster.kubectl("delete", "namespace", two_pairs.namespace, "--timeout=180s")
    release.scale(1)


def list_objects(network: Network) -> set[str]:
    """Return everything of the network's that is there, by kind and name."""
    labels = {"app.kubernetes.io/instance": network.name}
    return {
        f"{kind}/{found['metadata']['name']}"
        for kind in KINDS
        for found in network.cluster.api.list(kind, network.namespace, labels)
    }


def strip(resource: Object) -> Object:
    """Return the resource as its owner wrote it."""
    kept = {key: resource[key] for key in ("apiVersion", "kind", "spec")}
    return {**kept, "metadata": {"name": resource["metadata"]["name"]}}
