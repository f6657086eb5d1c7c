"""What waits in a node, told without asking anybody."""

from __future__ import annotations

from gossip_price.core.backlog import Backlog
from gossip_price.core.events import NoteKind
from gossip_price.core.types import Now
from networks import PAIR, START, make_network
from world import World


def describe(world: World, index: int = 0) -> Backlog:
    turns = world.nodes[index].turns
    assert turns is not None
    return turns.machine.describe_backlog(Now(world.wall_ms, world.mono_ms))


def test_before_the_first_round_nothing_waits_and_nothing_is_stored() -> None:
    world = World(make_network(4))
    assert describe(world) == Backlog(0, 0, 0, 0, {})


def test_what_is_proven_waits_to_settle_and_its_age_counts_from_its_quorum() -> None:
    world = World(make_network(4), latency_ms=100)
    world.run_until(START + 11)
    young = describe(world)
    world.run_until(START + 14)
    assert (young.unsettled, young.unstored) == (1, 0)
    assert 9_000 < young.unsettled_age_ms < 11_000
    assert describe(world).unsettled_age_ms == young.unsettled_age_ms + 3_000


def test_what_settled_without_a_database_waits_and_its_age_counts_from_its_last_signer() -> None:
    world = World(make_network(4), latency_ms=100, store_up=False)
    world.run_until(START + 100)
    backlog = describe(world)
    assert backlog.unstored == 5, "of the rounds at 0, 15, 30, 45 and 60 s"
    assert 97_000 < backlog.unstored_age_ms < 100_000
    assert backlog.stored_rounds == {}


def test_what_a_member_has_stored_waits_nowhere_and_its_round_is_known_to_all() -> None:
    network = make_network(4)
    world = World(network, latency_ms=100)
    world.run_until(START + 58)
    for index in range(4):
        backlog = describe(world, index)
        assert (backlog.unstored, backlog.unstored_age_ms) == (0, 0)
        assert backlog.stored_rounds == {PAIR: network.round(1)}


def test_a_later_life_remembers_what_is_stored() -> None:
    network = make_network(4)
    world = World(network, latency_ms=100)
    world.run_until(START + 58)
    world.restart(2)
    assert describe(world, 2).stored_rounds == {PAIR: network.round(1)}


def test_a_later_life_awaits_again_what_was_proven_and_had_not_settled() -> None:
    world = World(make_network(4), latency_ms=100)
    world.run_until(START + 11)
    world.kill(2)
    world.restart(2)
    assert describe(world, 2).unsettled == 1


def test_the_quorum_is_told_with_its_time_since_the_round_began_and_its_proposer() -> None:
    network = make_network(4)
    world = World(network, latency_ms=100)
    world.run_rounds(2)
    notes = world.nodes[0].get_notes(NoteKind.PROVEN)
    assert len(notes) >= 2
    for note in notes:
        assert 100 < note.ms < 2_000
        assert note.proposer in network.document.addresses


def test_what_a_node_catches_up_with_took_no_time_that_it_could_tell() -> None:
    world = World(make_network(4), latency_ms=100, alive=[0, 1, 2])
    world.run_rounds(8)
    world.restart(3)
    world.run_until(START + 700)
    proven = world.nodes[3].get_notes(NoteKind.PROVEN)
    late = [note for note in proven if note.round < START + 60]
    assert late
    assert {note.ms for note in late} == {0}
