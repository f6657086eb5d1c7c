"""Row 7, and backups: what goes with a network, what stays, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import Cluster
from e2e.database import StoredPrice
from e2e.network import Network, make_network
from e2e.programs import run
from e2e.release import Release
from e2e.rounds import check_no_round_lost, get_round
from e2e.waiting import eventually

RESOURCE: Final = make_network(nodes={"count": 3})
#: All that an operator makes, and what others make of it.
KINDS: Final = (
    "pods,deployments,replicasets,statefulsets,jobs,services,serviceaccounts,configmaps,secrets,"
    "persistentvolumeclaims,poddisruptionbudgets,networkpolicies"
)
KEPT: Final = {
    *(f"secret/eth-usd-{name}" for name in ("node-0", "node-1", "node-2", "bootstrap-0")),
    "secret/eth-usd-postgres",
    "configmap/eth-usd-epochs",
    "configmap/eth-usd-network",
    "persistentvolumeclaim/eth-usd-postgres",
}
LABEL: Final = "app.kubernetes.io/instance=eth-usd"
POSTGRES: Final = "eth-usd-postgres"


@pytest.fixture
def leaving(cluster: Cluster, release: Release) -> Network:
    """A network of three in a namespace that does not outlive this file, with a stored price."""
    network = Network(cluster, "leaving")
    network.make_namespace()
    network.apply(RESOURCE)
    network.wait()
    network.database.wait_for_price()
    return network


def test_a_lost_volume_comes_back_from_a_dump(leaving: Network, tmp_path: Path) -> None:
    first, dump = get_round(), tmp_path / "prices.dump"
    rows = read_rows(leaving)
    pg_dump = "pg_dump -U gossip_price -Fc prices"
    run_redirected(leaving, f"exec {POSTGRES}-0 -- {pg_dump}", f"> {dump}")
    leaving.patch_spec(paused=True)
    leaving.wait_condition("Reconciling", "True", "Paused")
    leaving.kubectl("delete", f"statefulset/{POSTGRES}", f"pvc/{POSTGRES}")
    leaving.patch_spec(paused=False)
    eventually(
        "the database is made anew",
        lambda: leaving.cluster.api.find("statefulsets", POSTGRES, leaving.namespace),
    )
    leaving.kubectl("rollout", "status", f"statefulset/{POSTGRES}", "--timeout=5m")
    pg_restore = "pg_restore -U gossip_price -d prices --exit-on-error"
    run_redirected(leaving, f"exec -i {POSTGRES}-0 -- {pg_restore}", f"< {dump}")
    leaving.wait()
    # Nodes would have inserted what they remember, but as rows of another time.
    assert rows <= read_rows(leaving)
    check_no_round_lost(leaving, "a database restored from a dump", first)


def test_what_a_deleted_network_left_is_taken_up_by_a_new_one(
    leaving: Network, release: Release, tmp_path: Path
) -> None:
    network_id, identities = leaving.get()["status"]["networkId"], leaving.read_identities()
    rows, backup = read_rows(leaving), tmp_path / "eth-usd.yaml"
    backup.write_text(leaving.kubectl("get", "secrets,configmaps", "-l", LABEL, "-o", "yaml"))
    release.scale(0)
    try:
        leaving.kubectl("delete", "pn", "eth-usd", "--timeout=60s")
        eventually("only what is kept is left", lambda: list_left(leaving) == KEPT, 240)
    finally:
        release.scale(1)
    leaving.kubectl("delete", "secret", POSTGRES)

    leaving.apply(RESOURCE)
    told = leaving.wait_condition("Stalled", "True", "PasswordMissing")
    assert "remedy: restore the Secret from a backup" in told["message"]
    assert list_left(leaving) == KEPT - {f"secret/{POSTGRES}"}
    # What is there is left as it is, and said to be there.
    code, said = leaving.cluster.try_kubectl("-n", leaving.namespace, "create", "-f", str(backup))
    assert (code, f"secret/{POSTGRES} created" in said) == (1, True), said
    again = get_round()
    leaving.wait()
    assert leaving.get()["status"]["networkId"] == network_id
    assert leaving.read_identities() == identities
    assert leaving.database.wait_for_price(after=again)
    assert rows <= read_rows(leaving)


def test_a_namespace_goes_with_the_operator_down(leaving: Network, release: Release) -> None:
    release.scale(0)
    try:
        leaving.database.close()
        delete = ("delete", "namespace", leaving.namespace, "--timeout=240s")
        leaving.cluster.kubectl(*delete, deadline_s=270)
    finally:
        release.scale(1)
    assert leaving.cluster.api.find("namespaces", leaving.namespace) is None


def list_left(network: Network) -> set[str]:
    """Return what bears the network's label, as `kind/name`."""
    listed = network.kubectl("get", KINDS, "-l", LABEL, "-o", "name", "--ignore-not-found")
    plain = (line.partition("/") for line in listed.split())
    return {f"{kind.partition('.')[0]}/{name}" for kind, _, name in plain}


def read_rows(network: Network) -> set[tuple[str, float]]:
    """Return each row's id with the moment at which it was inserted."""
    prices: Iterable[StoredPrice] = network.database.read()
    return {(price.id, price.created) for price in prices}


def run_redirected(network: Network, arguments: str, redirection: str) -> None:
    """Run kubectl with bytes that go to or come from a file."""
    where = f"--kubeconfig {network.cluster.kubeconfig} -n {network.namespace}"
    run("sh", "-c", f"kubectl {where} {arguments} {redirection}")
