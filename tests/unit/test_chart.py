"""The chart as far as its text tells: copies are copies, every value is described and checked.

What needs helm to be rendered is in tests/kube/test_chart.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gossip_price_operator import gather, kube
from gossip_price_operator.crd import format_crd
from gossip_price_operator.rights import CLUSTER, NETWORKS, OWN, PARTS, format_rules, make_rules
from gossip_price_operator.settings import DESCRIPTIONS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "gossip-price"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
#: Values that are Kubernetes' own, which checks them.
OPEN = ("resources", "podSecurityContext", "securityContext", "affinity", "network.spec",
        "monitoring.dashboardLabels")  # fmt: skip


def walk(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is none of ours to look into."""
    for name, value in values.items():
        own = f"{path}{name}"
        if isinstance(value, dict) and value and own not in (*OPEN, *PROBES):
            yield from walk(value, f"{own}.")
        else:
            yield own, value


PROBES = ("readinessProbe", "livenessProbe")


def find_schema(path: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = SCHEMA
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def test_the_charts_kind_is_the_one_that_ships() -> None:
    name = "pricenetworks.gossip-price.io.yaml"
    assert (CHART / "files" / name).read_text() == format_crd(), "remedy: make manifests"
    kept = yaml.safe_load(format_crd())["metadata"]["annotations"]
    assert kept == {"helm.sh/resource-policy": "keep"}, "uninstalling would delete every network"


@pytest.mark.parametrize("name", ["rules-operator.yaml", "dashboard.json"])
def test_the_charts_alerts_and_dashboard_are_those_that_ship(name: str) -> None:
    shipped = (ROOT / "deploy" / name).read_text()
    assert (CHART / "files" / name).read_text() == shipped, "remedy: make manifests"


@pytest.mark.parametrize("part", PARTS)
def test_the_charts_rules_are_the_operators_rights(part: str) -> None:
    written = (CHART / "files" / f"rights-{part}.yaml").read_text()
    assert written == format_rules(part), "remedy: make manifests"
    assert yaml.safe_load(written) == make_rules(PARTS[part])


def test_no_right_is_a_wildcard_or_makes_rights() -> None:
    for right in (*NETWORKS, *OWN, *CLUSTER):
        words = {right.group, *right.resources, *right.verbs}
        assert "*" not in words
        assert not words & {"rbac.authorization.k8s.io", "escalate", "bind", "impersonate"}
        assert not {"pods/exec", "nodes", "roles"} & set(right.resources)
        assert right.why


def test_what_must_be_kept_cannot_be_deleted() -> None:
    verbs = {name: right.verbs for right in NETWORKS for name in right.resources}
    for name in ("secrets", "persistentvolumeclaims", "pricenetworks"):
        assert "delete" not in verbs[name]
    assert "deletecollection" not in {verb for held in verbs.values() for verb in held}


def test_whatever_is_watched_may_be_listed_and_watched() -> None:
    allowed = {(right.group, name): right.verbs for right in NETWORKS for name in right.resources}
    for kind in (kube.NETWORK, *gather.OWN_KINDS):
        group = kind.api_version.rpartition("/")[0]
        assert {"list", "watch"} <= set(allowed[group, kind.plural]), kind


def test_the_page_is_made_from_the_values_and_the_rights(tmp_path: Path) -> None:
    page = CHART / "README.md"
    copy = tmp_path / page.name
    copy.write_text(page.read_text())
    script = ROOT / "scripts" / "chart_page.py"
    subprocess.run([sys.executable, script, copy], check=True)
    assert copy.read_text() == page.read_text(), "remedy: make docs"


def test_every_value_is_described_on_the_page_and_in_the_schema() -> None:
    page = (CHART / "README.md").read_text()
    for path, _ in walk(VALUES):
        assert f"| `{path}` |" in page, f"{path} has no `# -- …` in values.yaml"
        assert find_schema(path)
    assert SCHEMA["additionalProperties"] is False


def test_every_value_has_its_effect_in_a_template() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    for path, _ in walk(VALUES):
        name = path.split(".")[-1] if path.startswith(("image.", "nodeImage.")) else path
        assert name in templates, path


def test_whatever_the_chart_tells_the_operator_is_a_setting_of_it() -> None:
    deployment = (CHART / "templates" / "deployment.yaml").read_text()
    told = re.findall(r"name: (GPO_\w+)", deployment)
    assert told
    assert set(told) <= set(DESCRIPTIONS)
    # The port of the probes is the container's, and the rest the chart decides.
    assert set(DESCRIPTIONS) - set(told) == {"GPO_HTTPADDR"}


def test_chart_and_program_bear_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert chart["version"] == chart["appVersion"] == version
