"""A journal on a disk that fills up, and is freed again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.fault_network import get_told
from faults.fault_table import report
from faults.privileges import require_root
from faults.real_network import RealNetwork
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres

VICTIM = 1


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs of one megabyte."""
    require_root("mount a tmpfs")
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "gossip-price-fault", folder], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path: Path) -> None:
    """Write until the disk takes no byte more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_on_a_full_disk_a_node_signs_nothing_and_begins_again_when_it_is_freed(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """The others go on: three are a quorum. Twice, so that what is freed really works."""
    with small_disk(place / "disk") as disk:
        network = RealNetwork(place, postgres, template, journals={VICTIM: disk / "journal.sqlite"})
        try:
            network.start()
            with network.disturbed("disk", VICTIM):
                for _ in range(2):
                    before = network.mark()
                    fill(disk / "ballast")
                    network.wait_for_told("journal_failed", node=VICTIM, after=before)
                    full = network.mark()
                    network.wait_for_told("stored", 2, after=full)
                    votes = {
                        fact.values[0] for fact in network.facts.all[:full] if fact.kind == "voted"
                    }
                    signed = [
                        fact
                        for fact in network.facts.all[full:]
                        if fact.node == VICTIM and fact.kind == "signed" and fact.values[0] in votes
                    ]
                    assert not signed, "signed what its full disk did not take"
                    assert not get_told(network.facts.all[full:], "signed", VICTIM)
                    (disk / "ballast").unlink()
                    freed = network.mark()
                    network.wait_for_told("journal_recovered", node=VICTIM, after=full)
                    network.wait_until_signing(VICTIM, freed)
            network.calm_down()
            report("full disk under a journal", "2", network.finish())
        finally:
            network.close()
