"""Alerts and dashboard name what nodes and the operator export, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gossip_price.adapters.metrics import NODE_FAMILIES
from gossip_price.dashboard import ROWS, format_dashboard, list_queries, make_dashboard
from gossip_price_operator.metrics import FAMILIES as OPERATOR_FAMILIES
from gossip_price_operator.metrics import OperatorMetrics, make_registry
from gossip_price_operator.reconcile import Outcome
from gossip_price_operator.resources.alerts import NETWORK_ALERTS, OPERATOR_ALERTS, Alert, Scope
from gossip_price_operator.resources.monitoring import make_scope
from gossip_price_operator.rule_files import PLAIN, format_files
from node_registry import make_full_registry
from operator_cases import make_inputs
from promql_names import Named, find_names

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
ALERTS = (*NETWORK_ALERTS, *OPERATOR_ALERTS)
#: What a scrape adds: always, and by the operator's PodMonitor.
SCRAPED = {"job", "instance"}
SCRAPED_IN_CLUSTER = {
    "namespace",
    "pod",
    "app_kubernetes_io_instance",
    "app_kubernetes_io_component",
}


def list_series(registry: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name, set(sample.labels)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The labels of every series that a node or the operator exports, by name."""
    registry = make_registry()
    operator = OperatorMetrics(registry)
    operator.count_request("get", "Pod", 200)
    operator.count_look("prices", "eth", 0.1, Outcome(exists=True))
    node = make_full_registry(tmp_path_factory.mktemp("journal") / "journal.db")
    labels: dict[str, set[str]] = {}
    for name, names in (*list_series(node), *list_series(registry)):
        labels.setdefault(name, set()).update(names)
    return labels


def check(named: Named, exported: Mapping[str, set[str]], added: set[str]) -> set[str]:
    """Assert that all that is named is exported; return the labels that there are."""
    assert named.metrics, "it asks for nothing"
    there = set(added)
    for name, matched in named.metrics.items():
        assert name in exported, f"nobody exports {name}"
        assert matched <= exported[name] | added, f"{name} has no label {matched}"
        there |= exported[name]
    assert named.grouped <= there, f"no series has {named.grouped - there}"
    return there


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
@pytest.mark.parametrize("scope", [PLAIN, make_scope(make_inputs())], ids=["plain", "rendered"])
def test_an_alert_names_only_what_is_exported(
    alert: Alert, scope: Scope, exported: Mapping[str, set[str]]
) -> None:
    added = SCRAPED | (set() if scope is PLAIN else SCRAPED_IN_CLUSTER)
    check(find_names(alert.render(scope)["expr"]), exported, added)


@pytest.mark.parametrize(("question", "query"), list_queries())
def test_a_panel_names_only_what_is_exported(
    question: str, query: str, exported: Mapping[str, set[str]]
) -> None:
    assert question.endswith("?")
    check(find_names(re.sub(r"\$\w+(?=\])", "5m", query)), exported, SCRAPED)


def test_a_panel_s_legends_name_only_labels_that_its_series_have(
    exported: Mapping[str, set[str]],
) -> None:
    for row in ROWS:
        for panel in row.panels:
            for query in panel.queries:
                named = find_names(re.sub(r"\$\w+(?=\])", "5m", query.text))
                there = check(named, exported, SCRAPED)
                if re.match(r"(sum|max|min|avg|\(sum)", query.text):
                    there = named.grouped
                assert set(re.findall(r"{{(\w+)}}", query.legend)) <= there, panel.question


def test_no_two_panels_ask_the_same_and_none_lies_over_another() -> None:
    panels = make_dashboard()["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_what_ships_is_what_the_code_makes() -> None:
    deploy = ROOT / "deploy"
    remedy = "run `make manifests`"
    assert (deploy / "dashboard.json").read_text() == format_dashboard(), remedy
    assert json.loads(format_dashboard())["uid"] == "gossip-price"
    for name, text in format_files().items():
        assert (deploy / name).read_text() == text, remedy


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", [alert.name for alert in ALERTS])
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(
    alert: str, exported: Mapping[str, set[str]]
) -> None:
    page = (RUNBOOKS / f"{alert}.md").read_text()
    assert page.startswith(f"# {alert}\n")
    headlines = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headlines == ["What it means", "What to look at", "What to do"]
    families = [family.name for family in NODE_FAMILIES]
    known = {*exported, *families, *(family.name for family in OPERATOR_FAMILIES)}
    named = set(re.findall(r"gossip_price_[a-z_]+", page))
    assert named <= known, f"nobody exports {named - known}"


def test_the_page_of_metrics_is_what_the_code_makes(tmp_path: Path) -> None:
    page, made = ROOT / "docs" / "metrics.md", tmp_path / "metrics.md"
    made.write_text(page.read_text())
    subprocess.run([sys.executable, ROOT / "scripts" / "metrics_page.py", made], check=True)
    assert page.read_text() == made.read_text(), "run `make docs`"
