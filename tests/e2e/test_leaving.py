"""Row 7, and backups: what goes with a network, what stays, and how it is taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e2e.api import Object
from e2e.network import Network
from e2e.programs import run
from e2e.prover import prove
from e2e.release import Release
from e2e.rounds import check_no_round_lost, get_round
from e2e.waiting import eventually

#: All that an operator makes, and what others make of it.
KINDS: Final = (
    "pods,deployments,replicasets,statefulsets,jobs,services,serviceaccounts,configmaps,secrets,"
    "persistentvolumeclaims,poddisruptionbudgets,networkpolicies"
)


def test_a_lost_volume_comes_back_from_a_dump(two_pairs: Network, tmp_path: Path) -> None:
    network, first, dump = two_pairs, get_round(), tmp_path / "prices.dump"
    network.database.wait_for_price()
    rows, name = read_rows(network), f"{network.name}-postgres"
    pg_dump = "pg_dump -U gossip_price -Fc prices"
    run_redirected(network, f"exec {name}-0 -- {pg_dump}", f"> {dump}")
    network.patch_spec(paused=True)
    network.wait_condition("Reconciling", "True", "Paused")
    network.kubectl("delete", f"statefulset/{name}", f"pvc/{name}")
    network.patch_spec(paused=False)
    eventually(
        "the database is made anew",
        lambda: network.cluster.api.find("statefulsets", name, network.namespace),
    )
    network.kubectl("rollout", "status", f"statefulset/{name}", "--timeout=5m")
    pg_restore = "pg_restore -U gossip_price -d prices --exit-on-error"
    run_redirected(network, f"exec -i {name}-0 -- {pg_restore}", f"< {dump}")
    network.wait()
    # Nodes would have inserted what they remember, but as rows of another time.
    assert rows <= read_rows(network)
    check_no_round_lost(network, "a database restored from a dump", first)


def test_what_a_deleted_network_left_is_taken_up_by_a_new_one(
    two_pairs: Network, release: Release, tmp_path: Path
) -> None:
    network = two_pairs
    network.database.wait_for_price()
    name, resource, identities = network.name, strip(network.get()), network.read_identities()
    network_id, rows = network.get()["status"]["networkId"], read_rows(network)
    password = f"secret/{name}-postgres"
    kept = {
        *(f"secret/{identity}" for identity in identities),
        *(f"configmap/{name}-{suffix}" for suffix in ("network", "epochs")),
        *(password, f"persistentvolumeclaim/{name}-postgres"),
    }
    label, backup = f"app.kubernetes.io/instance={name}", tmp_path / "backup.yaml"
    backup.write_text(network.kubectl("get", "secrets,configmaps", "-l", label, "-o", "yaml"))

    release.scale(0)
    try:
        network.kubectl("delete", "pn", name, "--timeout=60s")
        eventually("only what is kept is left", lambda: list_left(network) == kept, 240)
    finally:
        release.scale(1)
    network.kubectl("delete", password)
    network.apply(resource)
    told = network.wait_condition("Stalled", "True", "PasswordMissing")
    assert "remedy: restore the Secret from a backup" in told["message"]
    assert list_left(network) == kept - {password}
    # What is there is left as it is, and said to be there.
    code, said = network.cluster.try_kubectl("-n", network.namespace, "create", "-f", str(backup))
    assert (code, f"{password} created" in said) == (1, True), said
    again = get_round()
    network.wait()
    assert network.get()["status"]["networkId"] == network_id
    assert network.read_identities() == identities
    network.database.wait_for_price(after=again)
    assert rows <= read_rows(network)
    prove(network.database, network.get_document(), tmp_path)


def test_a_namespace_goes_with_the_operator_down(two_pairs: Network, release: Release) -> None:
    release.scale(0)
    try:
        delete = ("delete", "namespace", two_pairs.namespace, "--timeout=240s")
        two_pairs.cluster.kubectl(*delete, deadline_s=270)
    finally:
        release.scale(1)
    assert two_pairs.cluster.api.find("namespaces", two_pairs.namespace) is None


def list_left(network: Network) -> set[str]:
    """Return what bears the network's label, as `kind/name`."""
    label = f"app.kubernetes.io/instance={network.name}"
    listed = network.kubectl("get", KINDS, "-l", label, "-o", "name", "--ignore-not-found")
    plain = (line.partition("/") for line in listed.split())
    return {f"{kind.partition('.')[0]}/{name}" for kind, _, name in plain}


def read_rows(network: Network) -> set[tuple[str, float]]:
    """Return each row's id with the moment at which it was inserted."""
    return {(price.id, price.created) for price in network.database.read()}


def strip(resource: Object) -> Object:
    """Return the resource as its owner wrote it."""
    kept = {key: resource[key] for key in ("apiVersion", "kind", "spec")}
    return {**kept, "metadata": {"name": resource["metadata"]["name"]}}


def run_redirected(network: Network, arguments: str, redirection: str) -> None:
    """Run kubectl with bytes that go to or come from a file."""
    where = f"--kubeconfig {network.cluster.kubeconfig} -n {network.namespace}"
    run("sh", "-c", f"kubectl {where} {arguments} {redirection}")
