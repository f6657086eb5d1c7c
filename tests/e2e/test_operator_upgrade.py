"""Row 6: another version of the operator, none at all, and the first one again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from e2e.cluster import Cluster
from e2e.images import OPERATOR_NEXT
from e2e.network import Network
from e2e.release import CHART, Release
from e2e.rounds import check_no_round_lost, get_round
from e2e.waiting import eventually

NEW_FIELD = "purpose"
CRD = "pricenetworks.gossip-price.io"


def test_operators_come_and_go_and_no_networks_pod_is_restarted(
    cluster: Cluster, release: Release, standing: Network, tmp_path: Path
) -> None:
    first, pods = get_round(), describe_pods(standing)
    with pytest.raises(AssertionError, match="does not exist"):
        standing.kubectl("explain", f"pn.spec.{NEW_FIELD}")

    release.upgrade(make_next_chart(tmp_path), OPERATOR_NEXT)
    wait_until_looked_after(standing)
    assert "what it is for" in standing.kubectl("explain", f"pn.spec.{NEW_FIELD}")
    standing.patch_spec(purpose="to be upgraded")
    assert standing.get()["spec"][NEW_FIELD] == "to be upgraded"
    standing.patch_spec(purpose=None)
    assert describe_pods(standing) == pods

    release.uninstall()
    assert cluster.api.find("customresourcedefinitions", CRD) is not None
    assert describe_pods(standing) == pods
    standing.database.wait_for_price(after=get_round())  # prices need no operator

    release.install()
    wait_until_looked_after(standing)
    standing.wait()
    assert describe_pods(standing) == pods
    check_no_round_lost(standing, "the operator upgraded, uninstalled, installed", first)


def describe_pods(network: Network) -> dict[str, tuple[str, int]]:
    """Return each pod's uid and how often its containers were started anew."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(status["restartCount"] for status in pod["status"]["containerStatuses"]),
        )
        for pod in network.list_pods()
    }


def wait_until_looked_after(network: Network) -> None:
    """Delete something that a pod does not need, and wait until the operator has put it back."""
    name = f"{network.name}-nodes"
    network.kubectl("delete", "poddisruptionbudget", name)
    eventually(
        "the operator has put the disruption budget back",
        lambda: network.cluster.api.find("poddisruptionbudgets", name, network.namespace),
        180,
    )


def make_next_chart(folder: Path) -> Path:
    """Return a copy of the chart: another version, and a field more in the CRD."""
    chart = folder / "gossip-price"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "99.0.0"}))
    file = chart / "files" / f"{CRD}.yaml"
    crd = yaml.safe_load(file.read_text())
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"][NEW_FIELD] = {"type": "string", "description": "what it is for"}
    file.write_text(yaml.safe_dump(crd))
    return chart
