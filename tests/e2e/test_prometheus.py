"""Row 15: a real Prometheus on the host scrapes nodes and operator, as their PodMonitors say.

The rules are those that operator and chart put into the cluster, the dashboard is the shipped one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from e2e import monitoring
from e2e.api import Object
from e2e.network import Network
from e2e.port_forward import PortForward
from e2e.release import NAMESPACE as RELEASE_NAMESPACE
from e2e.waiting import eventually
from gossip_price.dashboard import list_queries
from gossip_price_operator.resources.alerts import NETWORK_ALERTS, OPERATOR_ALERTS
from live_network import find_free_ports
from promql_names import find_names
from real_prometheus import Labels, Prometheus, fill_variables, run_prometheus

#: Questions to which a network without trouble has no answer, for one of their queries at least.
QUIET: Final = {
    "Who is silent, isolated or deaf?",
    "What keeps which node from taking part?",
    "Who cannot reach the database, and for how long already?",
    "Which networks are not ready, which wait for a person?",
}
#: Counters of reasons, whose series begin when something happens for that reason.
BEGIN_LATE: Final = {
    "gossip_price_rejected_total",
    "gossip_price_ignored_total",
    "gossip_price_questions_unanswered_total",
    "gossip_price_rounds_lost_total",
    "gossip_price_signatures_withheld_total",
}


@pytest.fixture
def watched(standing: Network) -> Iterator[Network]:
    """The standing network, which asks to be scraped and for alerts while the test runs."""
    standing.patch_spec(monitoring={"podMonitor": True, "rules": True})
    eventually("the operator makes both objects", lambda: all(list_objects(standing).values()))
    yield standing
    standing.patch_spec(monitoring=None)
    eventually("and takes both away", lambda: not any(list_objects(standing).values()))


def list_objects(network: Network) -> dict[str, list[Object]]:
    list_all = network.cluster.api.list
    return {
        plural: list_all(plural, network.namespace) for plural in ("podmonitors", "prometheusrules")
    }


def test_a_prometheus_answers_the_dashboard_and_evaluates_every_rule(
    watched: Network, tmp_path: Path
) -> None:
    rules = write_rules(watched, tmp_path)
    targets = find_targets(watched)
    jobs = {labels["job"] for labels in targets.values()}
    (job,) = (job for job in jobs if job.startswith(f"{watched.namespace}/"))
    assert len(jobs) == 2, jobs
    ours = (*watched.list_pods("node"), *watched.list_pods("bootstrap"))
    assert {pod["metadata"]["name"] for pod in ours} < {each["pod"] for each in targets.values()}
    with run_prometheus(targets, find_free_ports(1), rules) as prometheus:
        check_targets(prometheus, len(targets))
        check_rules(prometheus)
        check_dashboard(prometheus, job)
        firing = [rule["name"] for rule in prometheus.list_rules() if rule["state"] == "firing"]
        assert firing == [], "the network is well"


def write_rules(network: Network, folder: Path) -> list[Path]:
    """Write what the PrometheusRules of the network and of the operator hold."""
    files = []
    for namespace in (network.namespace, RELEASE_NAMESPACE):
        (found,) = network.cluster.api.list("prometheusrules", namespace)
        files.append(folder / f"{namespace}.yaml")
        files[-1].write_text(yaml.safe_dump(found["spec"]))
    return files


def find_targets(network: Network) -> dict[str, Labels]:
    """Return a way to each pod that the PodMonitors select, with the labels of its series."""
    cluster = network.cluster
    targets: dict[str, Labels] = {}
    for namespace in (network.namespace, RELEASE_NAMESPACE):
        (monitor,) = cluster.api.list("podmonitors", namespace)
        for pod in cluster.api.list("pods", namespace):
            if monitoring.selects(monitor, pod) and "deletionTimestamp" not in pod["metadata"]:
                port = monitoring.find_port(monitor, pod)
                way = PortForward(cluster, namespace, f"pod/{pod['metadata']['name']}", port)
                targets[f"127.0.0.1:{way.open()}"] = monitoring.make_labels(monitor, pod)
    return targets


def check_targets(prometheus: Prometheus, count: int) -> None:
    """Wait until nodes, bootstrap and operator have been scraped."""

    def find_down() -> list[Object]:
        targets = prometheus.list_targets()
        if len(targets) < count:
            return [{"targets": len(targets)}]
        return [target for target in targets if target["health"] != "up"]

    wait_until_none("a target that is not up", find_down)


def check_rules(prometheus: Prometheus) -> None:
    """Wait until every rule has been evaluated; none fails, or lacks its series."""
    wait_until_none(
        "a rule that was never evaluated",
        lambda: [rule for rule in prometheus.list_rules() if rule["health"] == "unknown"],
    )
    rules = prometheus.list_rules()
    assert {rule["name"] for rule in rules} == {
        alert.name for alert in (*NETWORK_ALERTS, *OPERATOR_ALERTS)
    }
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    selectors = {each for rule in rules for each in find_names(rule["query"]).selectors}
    wait_until_none(
        "a selector of a rule that nothing has",
        lambda: [selector for selector in selectors if not prometheus.query(selector)],
    )


def check_dashboard(prometheus: Prometheus, job: str) -> None:
    """Wait until every query of the dashboard returns data, but those that tell of trouble."""
    queries = list_queries()
    assert {question for question, _ in queries} > QUIET
    answers: dict[tuple[str, str], list[Object]] = {}

    def find_unanswered() -> list[tuple[str, str]]:
        for question, query in queries:
            answers[question, query] = prometheus.query(fill_variables(query, job))
        # A quantile of nothing is a series, too, which Grafana does not draw.
        return [
            asked
            for asked, series in answers.items()
            if all(one["value"][1] == "NaN" for one in series) and not may_be_empty(*asked)
        ]

    wait_until_none("a query without data", find_unanswered)


def may_be_empty(question: str, query: str) -> bool:
    """Tell whether a query rightly has no answer while nothing is wrong."""
    filled = fill_variables(query)
    return question in QUIET or find_names(filled).metrics.keys() <= BEGIN_LATE


def wait_until_none(what: str, find: Callable[[], Sequence[object]]) -> None:
    """Wait until there is no such thing; fail with those that are left."""
    left: list[object] = []

    def is_over() -> bool:
        left[:] = find()
        return not left

    try:
        eventually(f"no longer {what}", is_over)
    except AssertionError as error:
        raise AssertionError(f"{error}: {left}") from None
