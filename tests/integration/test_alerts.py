"""Each alert fires and does not fire: shown by promtool, on the rules as they are shipped.

Once as plain files, where a network is a scrape job, and once as the operator renders them, among
the series of another network that is in the same trouble.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_cases import CASES, NODES, TERMS, Case
from gossip_price_operator.resources.alerts import (
    NETWORK_ALERTS,
    OPERATOR_ALERTS,
    Alert,
    Scope,
    render_alerts,
)
from gossip_price_operator.resources.monitoring import make_rules, make_scope
from gossip_price_operator.rule_files import PLAIN
from operator_cases import make_inputs

ROOT = Path(__file__).parents[2]
ALERTS = {alert.name: alert for alert in (*NETWORK_ALERTS, *OPERATOR_ALERTS)}
RENDERED = make_scope(make_inputs())


def run_promtool(*arguments: str | Path) -> None:
    path = os.pathsep.join((str(ROOT / ".venv" / "prometheus"), os.environ.get("PATH", "")))
    found = shutil.which("promtool", path=path)
    assert found, "promtool is missing; scripts/check-test-tools brings it, or says how to get it"
    done = subprocess.run(
        [found, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def label(scope: Scope, node: str, *, instance: str) -> str:
    """Return the labels that a scrape adds to a node's series."""
    if scope is PLAIN:
        return f'job="{instance}",instance="{node}"'
    return (
        f'namespace="prices",app_kubernetes_io_instance="{instance}",'
        f'app_kubernetes_io_component="node",pod="{node}",instance="{node}"'
    )


def make_series(case: Case, scope: Scope, instance: str) -> list[dict[str, str]]:
    """Return promtool's input; terms are there of every node, all the time."""
    terms = {
        (name, "", ""): f"{value}+0x{case.at + 60}" for name, value in (TERMS | case.terms).items()
    }
    return [
        {
            "series": f"gossip_price_{name}"
            f"{{{label(scope, each, instance=instance)}{',' if extra else ''}{extra}}}",
            "values": values,
        }
        for (name, node, extra), values in (terms | case.series).items()
        for each in ([node] if node else NODES)
    ]


def make_samples(alert: Alert, case: Case, scope: Scope) -> list[dict[str, Any]]:
    """Return what of the alert is to be firing."""
    samples = []
    for fired in case.fires:
        labels = {"alertname": alert.name, "alertstate": "firing", "severity": alert.severity}
        node = fired.get("node")
        if scope is PLAIN:
            labels |= {"job": "eth"}
        else:
            labels |= {"namespace": "prices", "app_kubernetes_io_instance": "eth"}
            labels |= {"pod": node, "app_kubernetes_io_component": "node"} if node else {}
        labels |= {"instance": node} if node else {}
        labels |= {name: value for name, value in fired.items() if name != "node"}
        written = ",".join(f'{name}="{value}"' for name, value in labels.items())
        samples.append({"labels": f"ALERTS{{{written}}}", "value": 1})
    return samples


def make_test(alert: Alert, case: Case, scope: Scope) -> Mapping[str, Any]:
    series = make_series(case, scope, "eth")
    if scope is not PLAIN:
        series += make_series(case, scope, "another")
    return {
        "name": f"{alert.name}: {case.promise}",
        "interval": f"{case.step}m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{alert.name}",alertstate="firing"}}',
                "eval_time": f"{case.at}m",
                "exp_samples": make_samples(alert, case, scope),
            }
        ],
    }


@pytest.mark.parametrize("scope", [PLAIN, RENDERED], ids=["plain", "rendered"])
def test_each_alert_fires_when_it_should_and_only_then(scope: Scope, tmp_path: Path) -> None:
    group = {"name": "all", "rules": render_alerts(ALERTS.values(), scope)}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    files = []
    for step in {case.step for cases in CASES.values() for case in cases}:
        tests = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": f"{step}m",
            "tests": [
                make_test(ALERTS[name], case, scope)
                for name, cases in CASES.items()
                for case in cases
                if case.step == step
            ],
        }
        files.append(tmp_path / f"tests-{step}m.yaml")
        files[-1].write_text(yaml.safe_dump(tests))
    run_promtool("test", "rules", *files)


@pytest.mark.parametrize("name", ALERTS)
def test_of_each_alert_there_are_cases_of_both_kinds(name: str) -> None:
    assert any(case.fires for case in CASES[name]), "no case in which it fires"
    assert any(not case.fires for case in CASES[name]), "no case in which it does not"


@pytest.mark.parametrize("name", ALERTS)
def test_its_texts_name_only_labels_that_it_has(name: str) -> None:
    alert = ALERTS[name]
    fired = {label for case in CASES[name] for labels in case.fires for label in labels}
    for scope in (PLAIN, RENDERED):
        texts = " ".join(alert.render(scope)["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", texts))
        assert named <= (fired - {"node"}) | ({scope.node} if "node" in fired else set())
        assert "$node" not in texts


def test_prometheus_takes_the_shipped_files_and_what_the_operator_renders(tmp_path: Path) -> None:
    rendered = tmp_path / "rules.yaml"
    rendered.write_text(yaml.safe_dump(make_rules(make_inputs())["spec"]))
    run_promtool("check", "rules", rendered, *sorted((ROOT / "deploy").glob("rules-*.yaml")))
