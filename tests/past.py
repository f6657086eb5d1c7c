"""What a network has proven before a test begins: journals as an earlier life has left them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gossip_price.core import events as ev
from gossip_price.core.types import Entry
from gossip_price.network.document import DAY_S
from networks import START, SampleNetwork
from world import World

#: A world that begins then has a whole day behind it, all of it closed.
NEXT_DAY: int = START + DAY_S + 3_600


def make_past(
    network: SampleNetwork, rounds: Iterable[int], members: tuple[int, ...] = (0, 1, 2)
) -> dict[int, Entry]:
    """Return what `members` have signed of these rounds, by the round's number."""
    return {
        number: network.entry(network.report(number, 250_000_000_000 + number, members[0]), members)
        for number in rounds
    }


def recall(world: World, index: int, entries: Iterable[Entry], *, stored: bool = True) -> None:
    """Put entries into the journal of a node that is not alive."""
    journal = world.nodes[index].journal
    for entry in entries:
        document = world.chain.find(entry.report.epoch)
        assert document is not None
        # A later life takes up nothing else, and there would be no past.
        assert len(entry.signatures) >= document.minimum_signers
        id_ = world.network.compute_id(entry.report)
        journal.proven[id_] = ev.ProvenRecord(id_, entry, entry.report.round * 1000 + 2_000)
        if stored:
            journal.stored[id_] = ev.StoredRecord(id_, confirmed=True)


def begin_with(
    network: SampleNetwork, pasts: Mapping[int, Collection[Entry]], *, world: World | None = None
) -> World:
    """Return a world in which these nodes live, each with its past."""
    world = world or World(network, start_s=NEXT_DAY, alive=[], born_before_s=10 * DAY_S)
    for index, entries in pasts.items():
        recall(world, index, entries)
        world.begin(index)
    return world


def get_known(world: World, index: int) -> dict[bytes, frozenset[int]]:
    """Return who has signed what, by a node's journal."""
    return {
        id_: frozenset(signature.member for signature in record.entry.signatures)
        for id_, record in world.nodes[index].journal.proven.items()
    }
