"""The chart, rendered and installed by helm on a real API server. No kubelet: no pod runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gossip_price_operator.rights import CLUSTER, NETWORKS, OWN, make_rules
from helm import (
    CASES,
    CHART,
    GOLDEN,
    MONITORING,
    helm,
    read,
    render,
    render_case,
    render_golden,
    run_helm,
)
from kube_api import Api
from kube_cluster import Cluster

ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pricenetworks.gossip-price.io"


def find(manifests: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["name"].endswith(name)
    )
    return found


def test_helm_finds_nothing_to_object_to() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("case", CASES)
def test_values_become_what_they_became_before(case: str) -> None:
    remedy = "if the change is meant: python tests/golden/make_chart.py"
    assert render_golden(case) == (GOLDEN / f"{case}.yaml").read_text(), remedy


def test_the_plain_file_is_the_chart_with_its_defaults() -> None:
    printed = subprocess.run(
        [ROOT / "scripts" / "render-plain"], check=True, capture_output=True, text=True
    ).stdout
    plain = ROOT / "deploy" / "gossip-price.yaml"
    assert plain.read_text() == printed, "remedy: make manifests"
    arguments = ("--no-hooks",)
    charts = read(render(*arguments, release="gossip-price", namespace="gossip-price-system"))
    for manifest in charts:
        for labels in find_labels(manifest):
            labels.pop("helm.sh/chart", None)
            if labels.get("app.kubernetes.io/managed-by") == "Helm":
                del labels["app.kubernetes.io/managed-by"]
    namespace, *others = read(printed)
    assert namespace["kind"] == "Namespace"
    assert others == charts


def find_labels(manifest: dict[str, Any]) -> list[dict[str, str]]:
    within = manifest.get("spec", {}).get("template", {}).get("metadata", {})
    return [held["labels"] for held in (manifest["metadata"], within) if "labels" in held]


def test_the_rules_are_the_rights_and_bound_where_networks_are() -> None:
    everywhere = read(render_case("defaults"))
    role = find(everywhere, "ClusterRole", "-networks")
    assert role["rules"] == make_rules((*NETWORKS, *CLUSTER))
    assert find(everywhere, "Role", "-lease")["rules"] == make_rules(OWN)
    two = read(render_case("two-namespaces"))
    assert "ClusterRole" not in {manifest["kind"] for manifest in two}
    for namespace in ("prices", "staging"):
        here = [held for held in two if held["metadata"].get("namespace") == namespace]
        assert find(here, "Role")["rules"] == make_rules(NETWORKS)
        (subject,) = find(here, "RoleBinding")["subjects"]
        assert subject["namespace"] == "oracle"
    kinds = {manifest["kind"] for manifest in read(render_case("no-rights"))}
    assert not {kind for kind in kinds if "Role" in kind or kind == "ServiceAccount"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("replica=2", "replica"),
        ("replicas=two", "/replicas"),
        ("image.digest=abc", "/image/digest"),
        ("watchNamespaces={Prices}", "/watchNamespaces/0"),
        ("operator.resync=5x", "/operator/resync"),
        ("operator.loglevel=info", "loglevel"),
        ("nodeImage.pullPolicy=Sometimes", "/nodeImage/pullPolicy"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(given: str, said: str) -> None:
    done = run_helm("template", "x", str(CHART), "--kube-version", "1.34.0", "--set", given)
    assert done.returncode != 0
    assert said in done.stderr


def test_a_first_network_waits_until_the_cluster_knows_its_kind() -> None:
    new = ("template", "x", str(CHART), "--kube-version", "1.34.0", "--set", "network.create=true")
    assert "PriceNetwork" not in {manifest["kind"] for manifest in read(helm(*new))}
    network = find(read(render("--set", "network.create=true")), "PriceNetwork")
    assert network["spec"] == {}
    assert network["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_dashboard_reaches_grafana_as_it_ships() -> None:
    found = find(read(render("--set", "monitoring.dashboard=true")), "ConfigMap", "-dashboard")
    shipped = json.loads((ROOT / "deploy" / "dashboard.json").read_text())
    assert json.loads(found["data"]["gossip-price.json"]) == shipped
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    own = (
        'monitoring={"dashboard":true,"dashboardLabels":{"grafana_dashboard":null,"board":"ours"}}'
    )
    labels = find(read(render("--set-json", own)), "ConfigMap", "-dashboard")["metadata"]["labels"]
    assert labels["board"] == "ours"
    assert "grafana_dashboard" not in labels
    assert not [one for one in read(render()) if one["metadata"]["name"].endswith("-dashboard")]


@pytest.mark.parametrize(
    ("kind", "value"), [("PodMonitor", "podMonitor"), ("PrometheusRule", "rules")]
)
def test_monitoring_is_made_where_its_kind_is_known_and_it_is_wanted(kind: str, value: str) -> None:
    known = ("--api-versions", f"{MONITORING}/{kind}")

    def make(*arguments: str) -> set[str]:
        made = {manifest["kind"] for manifest in read(render(*arguments))}
        return made & {"PodMonitor", "PrometheusRule"}

    assert make() == set()
    assert make(*known) == {kind}
    assert make(*known, "--set", f"monitoring.{value}=false") == set()


def test_the_operators_rules_are_those_that_ship_with_pages_where_one_serves_them() -> None:
    pages = "https://docs.example/runbooks"
    known = ("--api-versions", f"{MONITORING}/PrometheusRule")
    made = find(read(render(*known, "--set", f"operator.runbooks={pages}")), "PrometheusRule")
    shipped = (ROOT / "deploy" / "rules-operator.yaml").read_text()
    assert made["spec"] == yaml.safe_load(shipped.replace("docs/runbooks", pages))


async def test_the_two_commands_that_the_notes_give_can_be_copied(
    cluster: Cluster, api: Api
) -> None:
    options = ("--dry-run=server", "--namespace", api.namespace, "--set", "crds.install=false")
    kubeconfig = cluster.write_kubeconfig("person")
    said = helm("install", "prices", str(CHART), *options, kubeconfig=kubeconfig)
    notes = said.partition("NOTES:")[2]
    (resource,) = re.findall(r"^  echo '(.+)' \| kubectl apply -f -$", notes, re.MULTILINE)
    said = await cluster.kubectl(
        "apply", "-n", api.namespace, "--dry-run=server", "-f", "-", text=resource
    )
    assert said == "pricenetwork.gossip-price.io/eth-usd created (server dry run)\n"
    assert "  kubectl wait --for=condition=Ready pn/eth-usd --timeout=10m" in notes


@pytest.mark.parametrize("case", CASES)
async def test_the_server_knows_each_field_and_pod_security_admits_the_pods(
    cluster: Cluster, api: Api, case: str
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"metadata": {"labels": labels}}
    answer = await api.client.patch(
        f"/api/v1/namespaces/{api.namespace}",
        json=body,
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    text = render_case(case, namespace=api.namespace)
    text = re.sub(r"namespace: (prices|staging)$", f"namespace: {api.namespace}", text, flags=re.M)
    said = await cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", text=text
    )
    assert "serverside-applied" in said
    assert "Warning" not in said, "a Deployment whose pods would be refused is warned of"


async def test_upgraded_uninstalled_and_installed_again(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    kubeconfig = cluster.write_kubeconfig("person")
    where = ("--namespace", api.namespace)

    def run(*arguments: str) -> str:
        return helm(*arguments, *where, kubeconfig=kubeconfig)

    chart = tmp_path / "gossip-price"
    shutil.copytree(CHART, chart)
    # The cluster knows the kind already, by kubectl: that is the documented way to take it over.
    refused = run_helm("install", "p", str(chart), *where, kubeconfig=kubeconfig)
    assert "cannot be imported into the current release" in refused.stderr
    said = run("install", "p", str(chart), "--take-ownership", "--set", "network.create=true")
    assert "get pn eth-usd" in said
    before = await api.get("pricenetworks", "eth-usd")

    file = chart / "files" / "pricenetworks.gossip-price.io.yaml"
    crd = yaml.safe_load(file.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["addition"] = {"type": "string", "description": "of the next version"}
    file.write_text(json.dumps(crd))
    run("upgrade", "p", str(chart), "--set", "network.create=true")
    kind = (await api.client.get(CRD)).json()
    assert "of the next version" in json.dumps(kind["spec"]["versions"])
    assert await api.get("pricenetworks", "eth-usd") == before

    said = run("uninstall", "p")
    assert "pricenetworks.gossip-price.io" in said
    assert await api.get("pricenetworks", "eth-usd") == before
    assert await api.list("deployments") == []
    run("install", "p", str(CHART))
    assert (await api.get("pricenetworks", "eth-usd"))["metadata"]["uid"] == before["metadata"][
        "uid"
    ]
    now = (await api.client.get(CRD)).json()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert "addition" not in now["properties"]["spec"]["properties"]
    run("uninstall", "p")
    await api.delete("pricenetworks", "eth-usd")
