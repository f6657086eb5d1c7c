"""Rules that every rendered object keeps, whatever the spec: a linter of our own, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gossip_price.network.spec_parts import Managed
from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.resources.bootstrap import make_bootstrap
from gossip_price_operator.resources.network_policy import make_network_policies
from gossip_price_operator.resources.node import make_node
from gossip_price_operator.resources.postgres import (
    find_major,
    find_version_trouble,
    make_postgres_volume,
)
from operator_cases import NETWORK_ID, make_file, make_inputs
from rendered import CASES, list_pods, render_all

RENDERED = {name: render_all(inputs) for name, inputs in CASES.items()}
PODS = {
    f"{case}: {name}": pod
    for case, manifests in RENDERED.items()
    for name, pod in list_pods(manifests)
}


def container(pod: Manifest) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def is_job(pod: Manifest) -> bool:
    return pod.get("restartPolicy") == "OnFailure"


RULES: Mapping[str, Callable[[Manifest], object]] = {
    "runs as somebody who is not root": lambda pod: (
        pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    ),
    "has the runtime's seccomp profile": lambda pod: (
        pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    ),
    "drops every capability and gains none": lambda pod: (
        container(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        and container(pod)["securityContext"]["allowPrivilegeEscalation"] is False
    ),
    "cannot write to its root": lambda pod: (
        container(pod)["securityContext"]["readOnlyRootFilesystem"] is True
    ),
    "has no token": lambda pod: pod["automountServiceAccountToken"] is False,
    "has an account of its own": lambda pod: pod["serviceAccountName"] != "default",
    "learns of no Service by variables": lambda pod: pod["enableServiceLinks"] is False,
    "shares nothing with its host": lambda pod: (
        not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        and all("hostPath" not in volume for volume in pod["volumes"])
    ),
    "names an image's version": lambda pod: (
        ":" in container(pod)["image"] and not container(pod)["image"].endswith(":latest")
    ),
    "requests CPU and memory, and has a limit of memory": lambda pod: (
        {"cpu", "memory"} <= set(container(pod)["resources"]["requests"])
        and (
            "memory" in container(pod)["resources"].get("limits", {})
            # What a user says is the user's to say.
            or container(pod)["resources"]["requests"] == {"cpu": "50m", "memory": "128Mi"}
        )
    ),
    "is probed, unless it ends by itself": lambda pod: (
        is_job(pod) or {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container(pod))
    ),
    "has time to end": lambda pod: is_job(pod) or pod["terminationGracePeriodSeconds"] >= 30,
    "is spread over machines": lambda pod: (
        {spread["topologyKey"] for spread in pod["topologySpreadConstraints"]}
        & {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    ),
    "mounts only what it has": lambda pod: (
        {mount["name"] for mount in container(pod)["volumeMounts"]}
        == {volume["name"] for volume in pod["volumes"]}
    ),
    "has every temporary folder bounded": lambda pod: all(
        "sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume
    ),
    "shows secrets to its group alone": lambda pod: all(
        (volume.get("secret") or volume.get("projected"))["defaultMode"] == 0o440
        for volume in pod["volumes"]
        if "secret" in volume or "projected" in volume
    ),
    "has no secret in its environment": lambda pod: (
        not any(
            "secretKeyRef" in str(variable) or variable["name"] == "PASSWORD"
            for variable in container(pod)["env"]
        )
    ),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pod", PODS)
def test_every_pod(pod: str, rule: str) -> None:
    assert RULES[rule](PODS[pod]), f"{pod} breaks the rule: {rule}"


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_named_labelled_and_owned_or_meant_to_stay(case: str) -> None:
    kept = {"Secret", "ConfigMap", "PersistentVolumeClaim"}
    seen = set()
    for manifest in RENDERED[case]:
        metadata = manifest["metadata"]
        assert len(metadata["name"]) <= 63
        assert metadata["namespace"] == "prices"
        assert metadata["labels"][names.INSTANCE] == CASES[case].name
        assert all(len(value) <= 63 for value in metadata["labels"].values())
        owners = metadata.get("ownerReferences", [])
        assert owners or manifest["kind"] in kept, metadata["name"]
        seen.add((manifest["kind"], bool(owners)))
    is_deleted = case == "external-open"
    assert (("Secret", True) in seen) == is_deleted
    assert (("Secret", False) in seen) != is_deleted


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_the_pods_that_they_are_for_and_no_other_networks(case: str) -> None:
    for manifest in RENDERED[case]:
        if template := manifest["spec"].get("template") if "spec" in manifest else None:
            labels = template["metadata"]["labels"]
            selector = manifest["spec"].get("selector", {}).get("matchLabels", {})
            assert selector.items() <= labels.items()
            assert labels[names.INSTANCE] == CASES[case].name


@pytest.mark.parametrize("case", CASES)
def test_no_pod_depends_on_the_document(case: str) -> None:
    for _, pod in list_pods(RENDERED[case]):
        assert NETWORK_ID.hex() not in str(pod)
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert set(volume["configMap"]) == {"name"}


@pytest.mark.parametrize(
    ("case", "spare"), [("network", 1), ("everything", 2), ("cloudnativepg", 0)]
)
def test_the_disruption_budget_spares_the_quorum(case: str, spare: int) -> None:
    budgets = [m for m in RENDERED[case] if m["kind"] == "PodDisruptionBudget"]
    (nodes,) = (
        m["spec"]
        for m in budgets
        if m["spec"]["selector"]["matchLabels"][names.COMPONENT] == "node"
    )
    assert nodes["maxUnavailable"] == spare


def find_policy(case: str, purpose: str) -> dict[str, Any]:
    name = names.network_policy(CASES[case].name, purpose)
    (found,) = (m["spec"] for m in RENDERED[case] if m["metadata"]["name"] == name)
    return dict(found)


def ports(rules: list[dict[str, Any]]) -> list[int]:
    return [port["port"] for rule in rules for port in rule["ports"]]


def test_what_is_not_allowed_is_denied() -> None:
    for case in CASES:
        denied = find_policy(case, "nothing")
        assert denied["policyTypes"] == ["Ingress", "Egress"]
        assert not {"ingress", "egress"} & set(denied)
        assert denied["podSelector"] == {"matchLabels": names.make_selector(CASES[case].name)}


@pytest.mark.parametrize(
    ("case", "purpose", "egress"),
    [
        ("network", "sources", [443]),
        ("external-open", "sources", [9000]),
        ("external-open", "postgres", [6432]),
        ("network", "postgres", [5432]),
        ("network", "dns", [53, 53]),
        ("network", "p2p", [8000]),
        ("external-open", "p2p", [8000, 8000, 9001]),
    ],
)
def test_what_pods_may_reach(case: str, purpose: str, egress: list[int]) -> None:
    assert ports(find_policy(case, purpose)["egress"]) == egress


def test_only_a_shared_network_hears_strangers() -> None:
    assert "from" in find_policy("network", "p2p")["ingress"][0]
    assert "from" not in find_policy("external-open", "p2p")["ingress"][0]
    assert "from" not in find_policy("everything", "p2p")["ingress"][0]


def test_who_was_scaled_away_opens_the_network_to_nobody() -> None:
    file = make_file(make_inputs({"nodes": {"count": 6}}))
    inputs = make_inputs({"nodes": {"count": 4}})
    assert {member.peer_id for member in file.epochs[0].members} > {
        identity.peer_id for identity in inputs.nodes.values()
    }
    name = names.network_policy("eth", "p2p")
    (p2p,) = (m for m in make_network_policies(inputs, file) if m["metadata"]["name"] == name)
    assert "from" in p2p["spec"]["ingress"][0]


def test_the_users_pod_template_is_laid_over_ours() -> None:
    given = {
        "metadata": {"labels": {"team": "t", names.INSTANCE: "stolen"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "containers": [
                {"name": "node", "env": [{"name": "GP_LOGLEVEL", "value": "debug"}]},
                {"name": "sidecar", "image": "s:1"},
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    }
    template = make_node(make_inputs({"nodes": {"podTemplate": given}}), 0)["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "t"
    assert template["metadata"]["labels"][names.INSTANCE] == "eth"
    pod = template["spec"]
    assert (pod["nodeSelector"], pod["tolerations"][0]["key"]) == ({"disk": "ssd"}, "spot")
    node, sidecar = pod["containers"]
    assert sidecar["name"] == "sidecar"
    variables = {variable["name"]: variable.get("value") for variable in node["env"]}
    assert (variables["GP_LOGLEVEL"], variables["GP_LOGFORMAT"]) == ("debug", "json")
    assert [v["emptyDir"] for v in pod["volumes"] if v["name"] == "tmp"] == [{"sizeLimit": "1Gi"}]


def test_more_bootstraps_restart_none_of_those_that_are_there() -> None:
    one, two = (
        make_bootstrap(make_inputs({"bootstrap": {"replicas": replicas}})) for replicas in (1, 2)
    )
    assert one["spec"]["template"] == two["spec"]["template"]
    assert (one["spec"]["replicas"], two["spec"]["replicas"]) == (1, 2)


@pytest.mark.parametrize(
    ("image", "major"),
    [("postgres:17", 17), ("r:5000/postgres:16.2-bookworm", 16), ("postgres", None),
     ("postgres:latest", None), ("postgres:17@sha256:ab", 17), ("host:5000/postgres", None)],
)  # fmt: skip
def test_an_images_tag_names_its_major_version(image: str, major: int | None) -> None:
    assert find_major(image) == major


def test_a_kept_volume_of_another_major_version_is_refused_with_the_remedy() -> None:
    inputs = make_inputs({"postgres": {"managed": {"image": "postgres:18"}}})
    managed = inputs.spec.postgres.managed
    assert managed is not None
    volume = make_postgres_volume(make_inputs(), Managed())
    trouble = find_version_trouble(inputs, managed, volume)
    assert trouble is not None
    assert "made by Postgres 17" in trouble.message
    assert "spec.postgres.managed.image" in trouble.message
    assert find_version_trouble(make_inputs(), Managed(), volume) is None
    assert find_version_trouble(inputs, managed, None) is None
