"""Members of the roster that lie: they may cost time, never safety, and they leave evidence."""

from __future__ import annotations

import pytest

from crafted import carries_entries, get_ranked, make_heartbeat, pack
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import HEARTBEAT_MISSED, HEARTBEAT_QUIET_MS, VARIANTS_MAX
from gossip_price.network.document import Mode
from networks import START, make_network
from world import PRICE, STORE, Node, World


def get_signed_ids(node: Node, round_start: int) -> set[bytes]:
    return {vote.id for vote in node.past_votes if vote.report.round == round_start}


@pytest.mark.parametrize("members", [4, 7])
def test_who_tells_each_half_another_price_gets_at_most_one_of_them_proven(members: int) -> None:
    network = make_network(members)
    liar, *honest = get_ranked(network, 0)
    world = World(network, alive=honest)
    one = network.report(0, PRICE, liar)
    other = network.report(0, PRICE + 1, liar)
    world.run_until(START + 1)
    world.drops = lambda sender, receiver, data: (
        sender == liar and (receiver in honest[: len(honest) // 2]) is (data == pack_other)
    )
    pack_other = pack(network.entry(other, (liar,)))
    world.send(liar, pack(network.entry(one, (liar,))))
    world.send(liar, pack_other)
    world.run_until(START + 60)
    for index in honest:
        assert len(get_signed_ids(world.nodes[index], START)) == 1
        evidence = world.nodes[index].get_notes(NoteKind.EQUIVOCATION)
        assert {note.member for note in evidence} == {network.document.addresses[liar]}
        assert world.nodes[index].penalized == []
    rows = [row for row in world.get_rows() if row.report.round == START]
    assert len(rows) <= 1
    # The next round has an honest proposer, and the liar's absence does not matter.
    later = {row.report.round for row in world.get_rows()}
    assert network.round(1) in later


@pytest.mark.parametrize("mode", list(Mode))
def test_a_flood_of_variants_is_bounded(mode: Mode) -> None:
    network = make_network(4, mode=mode)
    liar, *honest = get_ranked(network, 0)
    world = World(network, alive=honest[:1])
    world.run_until(START + 1)
    for number in range(40):
        report = network.report(0, PRICE + number, liar)
        world.send(liar, pack(network.entry(report, (liar,))))
    world.run_until(START + 2)
    node = world.nodes[honest[0]]
    assert len(node.get_notes(NoteKind.EQUIVOCATION)) == VARIANTS_MAX - 1
    assert node.get_reasons(NoteKind.IGNORED) == ["too_many_variants"] * (40 - VARIANTS_MAX)
    signed = get_signed_ids(node, START)
    own = 1 if mode is Mode.EVERY_NODE else 0
    assert len(signed) == 1 + own
    assert node.penalized == []


def test_a_flood_of_variants_cannot_hide_the_one_that_is_proven() -> None:
    network = make_network(4)
    liar, *honest = get_ranked(network, 0)
    world = World(network, alive=honest[:1])
    world.run_until(START + 1)
    for number in range(10):
        report = network.report(0, PRICE + number, liar)
        world.send(liar, pack(network.entry(report, (liar,))))
    hidden = network.report(0, PRICE + 99, liar)
    world.run_until(START + 2)
    world.send(honest[1], pack(network.entry(hidden, (liar, honest[1], honest[2]))))
    world.run_until(START + 40)
    (row,) = world.get_rows()
    assert row.report == hidden


def test_the_evidence_of_two_proposals_is_noted_by_everybody_and_one_is_signed() -> None:
    network = make_network(4)
    liar, *honest = get_ranked(network, 0)
    world = World(network, alive=honest)
    world.run_until(START + 1)
    for price in (PRICE, PRICE + 1):
        report = network.report(0, price, liar)
        world.send(liar, pack(network.entry(report, (liar,))))
    world.run_until(START + 2)
    signed = [get_signed_ids(world.nodes[index], START) for index in honest]
    assert signed[0] == signed[1] == signed[2]
    assert len(signed[0]) == 1


def test_a_replayed_heartbeat_keeps_nobody_alive() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1])
    world.run_until(START)
    beat = pack(heartbeats=[make_heartbeat(network, 3, boot=START * 1000, sequence=5)])
    world.send(3, beat)
    world.run_until(START + 1)
    assert world.get_writers_known_to(0) == {1, 3}
    for second in range(2, 2 + HEARTBEAT_MISSED * HEARTBEAT_QUIET_MS // 1000):
        world.send(3, beat)  # what its transport key's thief could do
        world.run_until(START + second)
    assert world.get_writers_known_to(0) == {1}


def test_an_earlier_lifes_heartbeat_changes_nothing() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1])
    world.run_until(START)
    newest = make_heartbeat(network, 3, boot=2, sequence=1)
    world.send(3, pack(heartbeats=[newest]))
    old = make_heartbeat(network, 3, boot=1, sequence=999, store=b"x" * 32)
    world.send(3, pack(heartbeats=[old]))
    world.run_until(START + 1)
    assert world.get_writers_known_to(0) == {1, 3}
    assert world.nodes[0].penalized == []


def test_a_foreign_heartbeat_changes_nothing() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1])
    world.run_until(START)
    world.send(2, pack(heartbeats=[make_heartbeat(network, 3)]))
    world.run_until(START + 1)
    assert world.get_writers_known_to(0) == {1}
    assert world.nodes[0].penalized == [(network.document.members[2].peer_id, "not_the_author")]
    assert world.nodes[0].turns.machine.get_writers(STORE, world.mono_ms)


def test_a_thousand_repetitions_cost_no_curve_operation_and_no_answer() -> None:
    network = make_network(4)
    first, *honest = get_ranked(network, 0)
    world = World(network, alive=honest[:1])
    world.run_until(START + 1)
    data = pack(network.entry(network.report(0, PRICE, first), (first,)))
    for _ in range(1_000):
        world.send(first, data)
    world.run_until(START + 14)
    node = world.nodes[honest[0]]
    assert sum(carries_entries(sent) for sent in node.published) == 1
    assert len(node.get_notes(NoteKind.COSIGNED)) == 2


def test_what_came_with_too_few_signatures_is_forgotten_when_its_round_is_over() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1])
    world.run_until(START + 15 * 60)
    sizes = [node.turns.machine.count_reports() for node in world.nodes[:2]]
    assert max(sizes) <= 10
