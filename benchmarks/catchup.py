"""What catching up costs: questions and bytes for what is missing, against naming every id.

    make bench-catchup

Two real machines with a day of 10 000 proven reports behind them, one of which lacks some; only
time and network are simulated, so every run prints the same bytes. At the end: what a heartbeat
costs in peace, and what the trees take in memory. Reads of the database are counted as the machine
asks for them: from the first question until the last entry, and before (its audit on connecting).
"""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from gossip_price.core import events as ev
from gossip_price.core.catchup import Catchup
from gossip_price.core.events import NoteKind
from gossip_price.core.forest import Forest
from gossip_price.core.questions import Want, decode_question
from gossip_price.crypto import keccak256
from gossip_price.engine import Outward
from gossip_price.network.document import DAY_S
from gossip_price.simulator.facts import Moment
from gossip_price.simulator.nodes import Node
from networks import START, make_network
from past import NEXT_DAY, begin_with, get_known, make_past
from world import World

IDS: Final = 10_000
#: An id, the length of its bitmap, and the bitmap of four members.
ALL_IDS_BYTES: Final = IDS * 34


class Counted(World):
    """Counts what node 1 asks and is answered: questions and bytes, of trees and of entries."""

    #: When it asked first; None before.
    begun_ms: int | None = None

    def carry_out(self, node: Node, effect: Outward, moment: Moment) -> None:
        """Note when catching up begins."""
        if node.index == 1 and isinstance(effect, ev.Ask) and self.begun_ms is None:
            self.begun_ms = self.true_ms
        super().carry_out(node, effect, moment)

    def relay_answer(self, asked: int, asker: int, data: bytes) -> bytes | None:
        """Count an answer and pass it on."""
        if asker == 1:
            counts = self.counts["entries" if data[1:9] == b"\xa7entries" else "nodes"]
            counts[2] += len(data)
        return super().relay_answer(asked, asker, data)

    def begin_counting(self) -> None:
        """Count from nothing: (questions, bytes asked, bytes answered) by kind."""
        self.counts: dict[str, list[int]] = {"nodes": [0, 0, 0], "entries": [0, 0, 0]}

    def count_asked(self) -> None:
        """Count the questions when all is over."""
        for _, data in self.nodes[1].asked:
            counts = self.counts["entries" if isinstance(decode_question(data), Want) else "nodes"]
            counts[0] += 1
            counts[1] += len(data)

    def count_reads(self) -> tuple[int, int]:
        """Return how many SELECTs node 1 asked for while it caught up, and before."""
        assert self.begun_ms is not None
        read_ms = [ms for ms, one in self.nodes[1].audits if isinstance(one, ev.ReadRows)]
        during = sum(ms >= self.begun_ms for ms in read_ms)
        return during, len(read_ms) - during


def see_nothing(*_: int) -> None:
    """No member observes anything: only the past is there to be exchanged."""


def measure_missing(missing: int) -> str:
    """Return a row of the table."""
    network = make_network(4, interval=8)
    past = list(make_past(network, range(IDS)).values())
    lacking = set(random.Random(missing).sample(range(IDS), missing))  # noqa: S311 # a sample
    some = [entry for number, entry in enumerate(past) if number not in lacking]
    world = Counted(network, start_s=NEXT_DAY, alive=[], price=see_nothing)
    world.begin_counting()
    begin_with(network, {0: past, 1: some}, world=world)
    seconds = 0
    while len(get_known(world, 1)) < IDS:
        seconds += 1
        world.run_until(NEXT_DAY + seconds)
        if seconds > 900:
            raise SystemExit(f"{missing} missing: not caught up in {seconds} s")
    world.count_asked()
    caught = sum(note.count for note in world.nodes[1].get_notes(NoteKind.CAUGHT_UP))
    (asked, up, down), (fetched, ids_up, entries_down) = world.counts.values()
    selects, audited = world.count_reads()
    all_ids = (ALL_IDS_BYTES + ids_up + entries_down) / 1000
    return (
        f"{missing:>7} {asked:>9} {(up + down) / 1000:>8.1f} {fetched:>9}"
        f" {(ids_up + entries_down) / 1000:>10.1f} {all_ids:>12.1f} {seconds:>7}"
        f" {max(caught, missing):>7} {selects:>7} {audited:>7}"
    )


def measure_peace() -> None:
    """Print what a heartbeat's roots cost where they agree, and what a week of ids costs."""
    tracemalloc.start()
    forest = Forest()
    now_s = START + 7 * DAY_S
    forest.close(now_s, START // DAY_S + 6)
    count = 7 * DAY_S // 5
    ids = [keccak256(b"%d" % number) for number in range(count)]
    held = tracemalloc.get_traced_memory()[0]
    for number, id_ in enumerate(ids):
        forest.add(id_, START + number * 5, 15)
    forest.encode_roots()
    # The ids' own bytes are held by the trees alone in a node that has run for a while.
    total = tracemalloc.get_traced_memory()[0] - held + count * sys.getsizeof(ids[0])
    tracemalloc.stop()
    print(f"\n{count} ids of a week at 5 s: {total / 1e6:.1f} MB, {total / count:.0f} bytes each")
    catchup, roots = Catchup(bytes(20)), bytes(forest.encode_roots())
    began = time.perf_counter()
    for number in range(100_000):
        catchup.process_roots("peer", roots, forest, number)
    print(f"roots that agree: {(time.perf_counter() - began) * 10:.2f} µs a heartbeat")
    began = time.perf_counter()
    for number in range(1_000):
        forest.add(keccak256(b"late %d" % number), now_s - 5, 15)
        forest.encode_roots()
    print(f"an id added and the roots computed anew: {(time.perf_counter() - began) * 1e3:.0f} µs")


def main() -> None:
    """Print the tables."""
    print(
        f"of {IDS} reports of a day; kilobytes both ways;"
        " SELECTs while catching up, and of the audit on connecting (an empty table)"
    )
    print(
        "missing   q(tree) kB(tree)  q(entry) kB(entries)  kB(all ids) seconds  gained"
        " SELECTs audited"
    )
    for missing in (1, 10, 1_000, IDS):
        print(measure_missing(missing), flush=True)
    measure_peace()


if __name__ == "__main__":
    main()
