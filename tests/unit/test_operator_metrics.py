"""What the operator tells of itself at /metrics."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from gossip_price_operator.applying import Memory
from gossip_price_operator.kube import KubeError
from gossip_price_operator.metrics import FAMILIES, OperatorMetrics, make_registry
from gossip_price_operator.probes import make_probes
from gossip_price_operator.reconcile import Outcome
from gossip_price_operator.turns import Turn
from gossip_price_operator.workers import Pace, Workers

ETH = {"network": "prices/eth"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> OperatorMetrics:
    return OperatorMetrics(registry)


def get(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"gossip_price_operator_{name}", labels)


def test_a_look_is_timed_and_shows_what_it_found(
    registry: CollectorRegistry, metrics: OperatorMetrics
) -> None:
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=True, is_ready=True))
    metrics.count_look("prices", "btc", 3.0, Outcome(exists=True, is_stalled=True))
    assert get(registry, "look_seconds_count") == 2
    assert get(registry, "look_seconds_bucket", le="0.25") == 1
    assert [get(registry, f"network_{of}", **ETH) for of in ("ready", "stalled")] == [1, 0]
    btc = {"network": "prices/btc"}
    assert [get(registry, f"network_{of}", **btc) for of in ("ready", "stalled")] == [0, 1]


def test_the_first_failure_is_an_increase(
    registry: CollectorRegistry, metrics: OperatorMetrics
) -> None:
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=True))
    assert get(registry, "look_errors_total", **ETH) == 0
    metrics.count_error("prices", "eth")
    assert get(registry, "look_errors_total", **ETH) == 1


def test_a_network_that_is_gone_leaves_no_series(
    registry: CollectorRegistry, metrics: OperatorMetrics
) -> None:
    metrics.count_error("prices", "eth")
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=True, is_ready=True))
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=False))
    for name in ("network_ready", "network_stalled", "look_errors_total"):
        assert get(registry, name, **ETH) is None
    metrics.count_look("prices", "never-seen", 0.2, Outcome(exists=False))


def test_a_passive_operator_tells_of_no_network(
    registry: CollectorRegistry, metrics: OperatorMetrics
) -> None:
    is_held = True
    metrics.show_active(lambda: is_held)
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=True, is_ready=True))
    assert get(registry, "active") == 1
    is_held = False
    metrics.forget_all()
    assert get(registry, "active") == 0
    assert get(registry, "network_ready", **ETH) is None


class Told:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, Outcome | None]] = asyncio.Queue()

    def count_look(self, namespace: str, name: str, seconds: float, outcome: Outcome) -> None:
        assert 0 <= seconds < 60
        self.said.put_nowait((f"{namespace}/{name}", outcome))

    def count_error(self, namespace: str, name: str) -> None:
        self.said.put_nowait((f"{namespace}/{name}", None))


async def test_workers_tell_of_each_look_and_each_failure() -> None:
    at_rest = Outcome(exists=True, is_settled=True, is_ready=True)
    outcomes = [KubeError("get", 500, "the server's trouble"), ValueError("ours")]

    async def look(_namespace: str, _name: str, _memory: Memory, _turn: Turn) -> Outcome:
        if outcomes:
            raise outcomes.pop(0)
        return at_rest

    told = Told()
    pace = Pace(settled_s=3_600, moving_s=3_600)
    # Dice that take all of the backoff away.
    workers = Workers(look, pace, dice=lambda: -5.0, watcher=told)
    workers.start()
    workers.mark("prices", "eth")
    async with asyncio.timeout(10):
        said = [await told.said.get() for _ in range(3)]
    await workers.stop()
    assert said == [("prices/eth", None), ("prices/eth", None), ("prices/eth", at_rest)]


async def test_metrics_are_served_beside_the_probes() -> None:
    registry = make_registry()
    OperatorMetrics(registry).count_request("patch", "Deployment", 200)
    app = make_probes(lambda _now: None, lambda: 0.0, registry)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    line = (
        'gossip_price_operator_api_requests_total{code="200",kind="Deployment",method="patch"} 1.0'
    )
    assert line in text
    assert "process_resident_memory_bytes" in text


def test_what_is_declared_is_what_it_exports(
    registry: CollectorRegistry, metrics: OperatorMetrics
) -> None:
    metrics.count_request("get", "Pod", 200)
    metrics.count_look("prices", "eth", 0.2, Outcome(exists=True))
    declared = {(one.name, one.type, one.question): set(one.labels) for one in FAMILIES}
    suffixes = {"counter": "_total", "info": "_info"}
    exported = {
        (
            family.name + suffixes.get(family.type, ""),
            family.type,
            family.documentation,
        ): {label for sample in family.samples for label in sample.labels} - {"le"}
        for family in registry.collect()
    }
    assert exported == declared
    for name, _, question in declared:
        assert re.fullmatch(r"gossip_price_operator_[a-z_]+", name)
        assert question.endswith("?")
