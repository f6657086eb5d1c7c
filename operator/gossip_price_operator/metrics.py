"""The operator's own numbers for Prometheus: what it looks at, what that costs, who waits.

A network is `namespace/name` in one label: Prometheus has a `namespace` of its own, our pod's.
Its series are there while it is looked at, and of the active operator alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from gossip_price_operator.reconcile import Outcome

#: A look at rest takes a dozen requests; one that waits for silent nodes or a slow API, seconds.
_LOOK_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Declared(NamedTuple):
    """One metric: its type, name, the question that it answers, and its labels."""

    type: str
    name: str
    question: str
    labels: tuple[str, ...] = ()


_BUILD: Final = Declared(
    "info", "gossip_price_operator_build_info", "Which version is this?", ("version",)
)
_ACTIVE: Final = Declared(
    "gauge", "gossip_price_operator_active", "Is this operator the active one (1) or not (0)?"
)
_LOOKS: Final = Declared(
    "histogram",
    "gossip_price_operator_look_seconds",
    "How long did looks at networks take that came to an end?",
)
_ERRORS: Final = Declared(
    "counter",
    "gossip_price_operator_look_errors_total",
    "How many looks at a network have failed?",
    ("network",),
)
_REQUESTS: Final = Declared(
    "counter",
    "gossip_price_operator_api_requests_total",
    "How did the API server answer our requests (code 0: not at all)?",
    ("method", "kind", "code"),
)
_READY: Final = Declared(
    "gauge",
    "gossip_price_operator_network_ready",
    "Is a network's condition Ready True (1) or not (0)?",
    ("network",),
)
_STALLED: Final = Declared(
    "gauge",
    "gossip_price_operator_network_stalled",
    "Does a network wait for a person (1) or not (0)?",
    ("network",),
)
FAMILIES: Final = (_BUILD, _ACTIVE, _LOOKS, _ERRORS, _REQUESTS, _READY, _STALLED)


class OperatorMetrics:
    """Counts in `registry`; told by the workers and by what speaks to the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ready, stalled = ((one.name, one.question, one.labels) for one in (_READY, _STALLED))
        self._looks = Histogram(
            _LOOKS.name, _LOOKS.question, buckets=_LOOK_BUCKETS_S, registry=registry
        )
        self._errors = Counter(_ERRORS.name, _ERRORS.question, _ERRORS.labels, registry=registry)
        self._requests = Counter(
            _REQUESTS.name, _REQUESTS.question, _REQUESTS.labels, registry=registry
        )
        self._active = Gauge(_ACTIVE.name, _ACTIVE.question, registry=registry)
        self._ready = Gauge(*ready, registry=registry)
        self._stalled = Gauge(*stalled, registry=registry)
        build = Info(_BUILD.name.removesuffix("_info"), _BUILD.question, registry=registry)
        build.info({"version": version("gossip-price")})
        self._networks: set[str] = set()

    def show_active(self, is_active: Callable[[], bool]) -> None:
        """Ask at each scrape whether this operator is the active one."""
        self._active.set_function(is_active)

    def count_request(self, method: str, kind: str, code: int) -> None:
        """Count a request to the API server by its answer."""
        self._requests.labels(method, kind, str(code)).inc()

    def count_look(self, namespace: str, name: str, seconds: float, outcome: Outcome) -> None:
        """Count a look that came to an end, and show what it found."""
        network = f"{namespace}/{name}"
        self._looks.observe(seconds)
        if not outcome.exists:
            self._forget(network)
            return
        self._begin(network)
        self._ready.labels(network).set(outcome.is_ready)
        self._stalled.labels(network).set(outcome.is_stalled)

    def count_error(self, namespace: str, name: str) -> None:
        """Count a look that failed."""
        network = f"{namespace}/{name}"
        self._begin(network)
        self._errors.labels(network).inc()

    def forget_all(self) -> None:
        """Show no network any more: another operator looks at them."""
        for network in list(self._networks):
            self._forget(network)

    def _begin(self, network: str) -> None:
        self._networks.add(network)
        self._errors.labels(network)  # at zero, so that the first one is an increase

    def _forget(self, network: str) -> None:
        if network in self._networks:
            self._networks.discard(network)
            for series in (self._errors, self._ready, self._stalled):
                series.remove(network)


def make_registry() -> CollectorRegistry:
    """Return a registry of this process's own: memory, CPU, open files and collections."""
    # A second series beside each counter, of when it began: what process_start_time_seconds tells.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in its library
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
