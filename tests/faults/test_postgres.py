"""The database goes away in every way, and at the worst moment: with the COMMIT under way."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Final

from faults.fault_network import get_told
from faults.fault_table import report
from faults.postgres_proxy import CUTS
from faults.real_network import RealNetwork
from faults.recorder import Fact
from faults.table import execute
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

#: Rounds of each cut; a row settles every five seconds.
CUTS_EACH: Final = 2
_TERMINATE: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'gossip-price' AND datname = current_database()"
)


def has_cut(network: RealNetwork, before: int, _facts: list[Fact]) -> bool:
    return len(network.proxy.cuts) > before


def test_whatever_the_database_does_every_proven_row_is_stored_once(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """Cut in the middle of a COMMIT, backends terminated, stopped in order, killed, started."""
    network = RealNetwork(place, postgres, template)
    try:
        network.start()
        with network.disturbed("database"):
            for cut in CUTS * CUTS_EACH:
                before, done = network.mark(), len(network.proxy.cuts)
                network.proxy.cut_next(cut)
                network.wait_for(partial(has_cut, network, done), cut)
                network.wait_for_told("stored", after=before)
            for _ in range(3):
                _wait_until_connected(network)
                before = network.mark()
                execute(network.url, _TERMINATE)
                network.wait_for_told("store_down", 4, after=before)
                network.wait_for_told("stored", after=before)
            _restart(network, signal.SIGINT)
            _restart(network, signal.SIGQUIT)
        network.calm_down()
        cuts = len(network.proxy.cuts)
        report(
            "Postgres: cut in a COMMIT, terminated, stopped, killed",
            f"{cuts} + 3 + 1 + 1",
            network.finish(),
        )
    finally:
        network.close()


def _restart(network: RealNetwork, how: signal.Signals) -> None:
    """End the server in order (SIGINT) or without a checkpoint (SIGQUIT), and start it again."""
    _wait_until_connected(network)
    before = network.mark()
    pid = network.server.pid
    assert pid is not None
    os.kill(pid, how)
    end = time.monotonic() + 30
    while network.server.pid is not None:
        assert time.monotonic() < end, "the server does not end"
        time.sleep(0.05)
    network.wait_for_told("store_down", 4, after=before)
    down = network.mark()
    # Two rounds become due at every node, and nobody calls any of them stored.
    network.wait_for_told("settled", 8, after=down)
    assert not get_told(network.facts.all[down:], "stored")
    network.server.stop()
    network.server.start()
    network.wait_for_told("stored", 2, after=before)


def _wait_until_connected(network: RealNetwork) -> None:
    """Wait until every node's last word of the database is that it answers."""

    def is_connected(_: list[Fact]) -> bool:
        last = {
            fact.node: fact.values[0]
            for fact in network.facts.all
            if fact.kind == "told" and fact.values[0] in ("store_up", "store_down")
        }
        return set(last.values()) == {"store_up"}

    network.wait_for(is_connected, "connection of every node")
