"""A process that stands still, as a laptop that sleeps or a machine that swaps."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Final

from faults.fault_network import get_told
from faults.fault_table import report
from faults.real_network import MEMBERS, RealNetwork
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

#: Longer than a heartbeat counts (15 s), than two lost pings (30 s) and than a connection's life.
STOPPED_S: Final = 60


def test_a_node_that_slept_a_minute_takes_part_again_and_the_others_missed_nothing(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """The three others are a quorum; the sleeper wakes with work that is a minute old."""
    network = RealNetwork(place, postgres, template)
    try:
        network.start()
        # The one that writes is the one whose sleep hurts most.
        writer = get_told(network.facts.all, "stored")[-1].node
        with network.disturbed("asleep", writer):
            asleep = network.mark()
            network.send(writer, signal.SIGSTOP)
            end = time.monotonic() + STOPPED_S
            network.wait_for(lambda _: time.monotonic() > end, "minute", deadline_s=2 * STOPPED_S)
            stored = get_told(network.facts.all[asleep:], "stored")
            assert stored, "nobody took over"
            assert writer not in {fact.node for fact in stored}
            told = network.ask_how_it_is((writer + 1) % MEMBERS)
            assert told.network.members[writer].state == "silent"
            assert told.network.isolated == (told.network.members[writer].address,)
            assert told.network.deaf == ()
            assert {row.hears[writer] for row in told.network.matrix.rows} == {False, None}
            awake = network.mark()
            network.send(writer, signal.SIGCONT)
            network.wait_until_signing(writer, awake)
        network.calm_down()
        report("SIGSTOP, SIGCONT of the writer", f"1 × {STOPPED_S} s", network.finish())
    finally:
        network.close()
