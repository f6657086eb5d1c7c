"""A clock that is set ten minutes wrong while its node runs: behind, right again, ahead, right.

libfaketime, preloaded into that one process, reads its offset anew at every look at the clock;
the monotonic clock stays the machine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from faults.fault_network import get_told
from faults.fault_table import report
from faults.privileges import find_libfaketime
from faults.real_network import RealNetwork
from faults.recorder import Fact
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

VICTIM: Final = 2
OFF_S: Final = 600


def test_a_clock_ten_minutes_wrong_hurts_only_its_own_node(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """The other three are a quorum, cut nobody off, and nothing is signed or settled early."""
    offset = place / "offset"
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(find_libfaketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    network = RealNetwork(place, postgres, template, environments={VICTIM: environment})
    try:
        network.start()

        def is_off(facts: list[Fact], by_s: int) -> bool:
            return any(
                fact.node == VICTIM
                and abs(fact.wall_ms - network.to_true_ms(fact.ns) - by_s * 1000) < 2_000
                for fact in facts
            )

        def set_clock(by_s: int) -> int:
            before = network.mark()
            offset.write_text(f"{by_s:+d}\n")
            network.wait_for(lambda facts: is_off(facts, by_s), "a clock that is set", after=before)
            network.wait_for_told("clock_stepped", node=VICTIM, after=before)
            return network.mark()

        with network.disturbed("clock", VICTIM):
            # Behind: the journal knows of rounds that this clock has not entered.
            behind = set_clock(-OFF_S)
            network.wait_for_told("stored", 3, after=behind)
            assert not get_told(network.facts.all[behind:], "signed", VICTIM)
            right = set_clock(0)
            network.wait_until_signing(VICTIM, right)
            # Ahead: it enters rounds that nobody else has, and stays out until they have come.
            ahead = set_clock(OFF_S)
            network.wait_for_told("stored", 3, after=ahead)
            right = set_clock(0)
            network.wait_for_told("stored", 2, after=right)
            signed = get_told(network.facts.all[right:], "signed", VICTIM)
            assert not signed, "it signed rounds before those that it has entered"
        network.disturbances.append(network.disturbances[-1]._replace(end_ms=1 << 52))
        network.calm_down()
        report("clock set: behind, right, ahead, right", f"2 × {OFF_S} s", network.finish())
    finally:
        network.close()
