"""The Prometheus that the cluster's tests scrape with, on its own."""

from __future__ import annotations

import gc

from live_network import find_free_ports
from real_prometheus import run_prometheus


def test_it_takes_the_shipped_rules_and_leaves_no_connection_open() -> None:
    """One left open is a warning when its memory is freed, and any warning an error."""
    with run_prometheus({}, find_free_ports(1)) as prometheus:
        rules = prometheus.list_rules()
    del prometheus
    gc.collect()
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert len(rules) >= 10
