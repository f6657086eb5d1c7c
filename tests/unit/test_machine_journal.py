"""A node's memory: killed anywhere, with its volume lost, with its disk full."""

from __future__ import annotations

import pytest

from crafted import get_ranked, pack
from gossip_price.core.events import NoteKind
from gossip_price.network.document import Mode
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator.checkers.bounds import measure
from networks import START, SampleNetwork, make_network
from world import PRICE, Node, World

END = START + 55


def find_contradictions(network: SampleNetwork, node: Node) -> list[str]:
    """Name the vote keys under which this key has signed two reports, in all its lives."""
    known = {vote.id: vote.key for vote in node.past_votes}
    by_key: dict[str, set[bytes]] = {}
    for digest in node.signer.signed:
        if digest in known:
            by_key.setdefault(known[digest], set()).add(digest)
    return [key for key, ids in by_key.items() if len(ids) > 1]


def check_promises(world: World) -> None:
    """Nobody signed twice, nobody signed unrecorded, and what is proven anywhere is stored."""
    for node in world.nodes:
        assert find_contradictions(world.network, node) == []
        assert node.penalized == []
        recorded = {vote.id for vote in node.past_votes}
        for note in (*node.get_notes(NoteKind.SIGNED), *node.get_notes(NoteKind.PROPOSED)):
            assert note.id in recorded
    long_ago = world.wall_ms // 1000 - 50
    proven = {
        id_
        for node in world.nodes
        for id_, record in node.journal.proven.items()
        if record.entry.report.round <= long_ago
    }
    assert proven
    assert proven <= set(world.table.rows)
    rounds = [(row.report.pair, row.report.round) for row in world.get_rows()]
    if world.network.document.mode is Mode.ROUNDS:
        assert len(rounds) == len(set(rounds))


def count_turns(network: SampleNetwork, index: int) -> tuple[int, int]:
    """Return how many turns and transactions member `index` needs for the first round."""
    world = World(network, start_s=START - 2)
    world.run_until(START + 3)
    return world.nodes[index].turns_taken, world.nodes[index].journal.transactions


NETWORK = make_network(4)
PROPOSER, COSIGNER = get_ranked(NETWORK, 0)[0], get_ranked(NETWORK, 0)[2]


@pytest.mark.parametrize("index", [PROPOSER, COSIGNER])
def test_killed_after_any_turn_a_node_contradicts_and_loses_nothing(index: int) -> None:
    turns, _ = count_turns(NETWORK, index)
    assert turns >= 10
    for turn in range(turns):
        world = World(NETWORK, start_s=START - 2)
        world.nodes[index].turns_left = turn
        world.run_until(START + 3)
        assert not world.nodes[index].alive
        world.restart(index)
        world.run_until(END)
        check_promises(world)
        assert START in {row.report.round for row in world.get_rows()}
        # It remembered by itself what the journal would have refused.
        assert not world.nodes[index].get_notes(NoteKind.JOURNAL_FAILED)


@pytest.mark.parametrize("proposer", range(4))
def test_what_is_remembered_as_proven_proves_itself_whoever_is_named_first(proposer: int) -> None:
    """All four signatures come in one message, and the process is killed before it settles."""
    report = NETWORK.report(proposer=proposer)
    id_ = NETWORK.compute_id(report)
    world = World(NETWORK, start_s=START + 1)
    world.send(1, pack(NETWORK.entry(report, (0, 1, 2, 3))), [0])
    world.run_until(START + 2)
    node = world.nodes[0]
    remembered = node.journal.proven[id_].entry.signatures
    assert proposer in {signature.member for signature in remembered}
    world.close(0)
    world.restart(0)
    world.run_until(END)
    assert id_ in world.table.rows
    for row in world.get_rows():
        assert report.proposer in dict(row.signatures)


@pytest.mark.parametrize("reaches_disk", [False, True])
@pytest.mark.parametrize("index", [PROPOSER, COSIGNER])
def test_killed_within_any_write_a_node_contradicts_and_loses_nothing(
    index: int, reaches_disk: bool
) -> None:
    _, transactions = count_turns(NETWORK, index)
    assert transactions >= 3
    for transaction in range(transactions):
        world = World(NETWORK, start_s=START - 2)
        world.nodes[index].journal.cut = (transaction, reaches_disk)
        world.run_until(START + 3)
        assert not world.nodes[index].alive
        world.restart(index)
        world.run_until(END)
        check_promises(world)
        assert START in {row.report.round for row in world.get_rows()}
        # It remembered by itself what the journal would have refused.
        assert not world.nodes[index].get_notes(NoteKind.JOURNAL_FAILED)


@pytest.mark.parametrize("after_s", [0.6, 5, 31, 31.5, 36])
def test_all_killed_at_once_store_what_was_proven_once_they_are_back(after_s: float) -> None:
    world = World(NETWORK)
    world.run_until(START + 15 + after_s)
    proven = {id_ for node in world.nodes for id_ in node.journal.proven}
    for node in world.nodes:
        world.kill(node.index)
    for node in world.nodes:
        world.restart(node.index)
    world.run_until(START + 120)
    assert proven <= set(world.table.rows)
    # What the writers observed themselves in their earlier life stands beside the proof.
    assert all(world.table.rows[id_].sources for id_ in proven)
    check_promises(world)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("after_s", [0.2, 0.6, 1, 4, 14.9])
def test_a_lost_volume_makes_nobody_sign_twice(after_s: float, mode: Mode) -> None:
    network = make_network(4, mode=mode)
    index = get_ranked(network, 1)[0]
    world = World(network)
    world.run_until(network.round(1) + after_s)
    world.kill(index)
    world.restart(index, lost_volume=True)
    born_s = world.wall_ms / 1000
    world.run_until(network.round(1) + 90)
    node = world.nodes[index]
    for vote in node.journal.votes.values():
        assert vote.report.round >= born_s + network.document.skew
    assert node.journal.votes
    check_promises(world)


def test_a_new_journal_signs_only_rounds_after_its_birth_and_the_skew() -> None:
    world = World(NETWORK, born_before_s=0, start_s=START - 4)
    world.run_until(START + 14)
    for node in world.nodes:
        assert not node.get_notes(NoteKind.SIGNED)
        assert not node.get_notes(NoteKind.PROPOSED)
    world.run_until(START + 60)
    assert world.get_rows()[0].report.round == NETWORK.round(1)
    assert set(world.nodes[0].get_reasons(NoteKind.WITHHELD)) <= {"newborn"}


def test_with_a_full_disk_nothing_is_signed_and_the_same_vote_when_there_is_space() -> None:
    world = World(NETWORK)
    world.run_until(START - 1)
    node = world.nodes[COSIGNER]
    node.journal.full = True
    world.run_until(START + 3)
    assert node.turns.machine.is_journal_failing
    assert not node.get_notes(NoteKind.SIGNED)
    assert node.journal.votes == {}
    node.journal.full = False
    world.run_until(START + 10)
    assert not node.turns.machine.is_journal_failing
    (signed,) = node.get_notes(NoteKind.SIGNED)
    assert [vote.id for vote in node.journal.votes.values()] == [signed.id]
    world.run_until(START + 34)
    assert len(node.get_notes(NoteKind.JOURNAL_FAILED)) == 1
    assert len(node.get_notes(NoteKind.JOURNAL_RECOVERED)) == 1
    world.run_until(START + 45)
    row = world.get_rows()[0]
    assert len(row.signatures) == 4


def test_a_vote_that_met_a_full_disk_is_kept_when_another_proposal_comes() -> None:
    world = World(NETWORK)
    world.run_until(START + 0.01)
    node = world.nodes[PROPOSER]
    node.journal.full = True
    world.run_until(START + 2)
    assert not node.get_notes(NoteKind.PROPOSED)
    # The second in rank has proposed by now; the first is bound to its own.
    world.run_until(START + 5)
    node.journal.full = False
    world.run_until(START + 14)
    (vote,) = [vote for vote in node.journal.votes.values() if vote.report.round == START]
    assert [note.id for note in node.get_notes(NoteKind.PROPOSED)] == [vote.id]
    world.run_until(START + 60)
    check_promises(world)


def test_a_full_disk_for_many_rounds_is_told_once_and_stores_go_on() -> None:
    world = World(NETWORK)
    world.run_until(START + 1)
    node = world.nodes[0]
    node.journal.full = True
    world.run_until(START + 100)
    assert len(node.get_notes(NoteKind.JOURNAL_FAILED)) == 1
    assert not node.get_notes(NoteKind.JOURNAL_RECOVERED)
    assert len(world.get_rows()) >= 4
    node.journal.full = False
    world.run_until(START + 160)
    assert len(node.get_notes(NoteKind.JOURNAL_RECOVERED)) == 1
    assert set(node.journal.proven) >= {row.id for row in world.get_rows()}


def test_a_full_disk_at_all_nodes_stops_the_network_and_space_starts_it_again() -> None:
    world = World(NETWORK)
    for node in world.nodes:
        node.journal.full = True
    world.run_until(START + 60)
    assert world.get_rows() == []
    for node in world.nodes:
        node.journal.full = False
    world.run_until(START + 135)
    assert [row.report.round for row in world.get_rows()][-1] >= NETWORK.round(5)


def test_votes_outlive_the_longest_interval_of_all_epochs() -> None:
    slow = make_network(4, interval=600)
    quick = make_network(
        4,
        interval=15,
        network_id=slow.document.network_id,
        epoch=2,
        previous="0x" + slow.document.hash.hex(),
        start=START + 6 * 3600,
    )
    world = World(slow, chain=EpochChain([slow.document, quick.document]))
    world.run_until(START + 600.2)
    first, *_, voter = get_ranked(slow, 0)
    world.kill(voter)
    world.restart(voter)
    world.run_until(START + 601)
    # Within the skew the round is not over yet; its proposer contradicts itself.
    other = slow.report(0, PRICE + 1, first)
    world.send(first, pack(slow.entry(other, (first,))))
    world.run_until(START + 602)
    assert "voted" in world.nodes[voter].get_reasons(NoteKind.WITHHELD)


def test_a_vote_that_met_a_full_disk_is_never_signed_once_its_round_is_over() -> None:
    """The round is not given up yet when the disk has space again: it is too late all the same."""
    world = World(NETWORK)
    node = world.nodes[COSIGNER]
    world.run_until(START + 0.02)
    node.journal.full = True
    world.run_until(START + 21)
    signed = set(node.signer.signed)
    node.journal.full = False
    world.run_until(START + 45)
    assert node.get_notes(NoteKind.JOURNAL_RECOVERED)
    voted = {vote.id: vote.report.round for vote in node.journal.votes.values()}
    assert START in voted.values()
    late = {voted.get(digest) for digest in set(node.signer.signed) - signed}
    assert START not in late
    assert START + 30 in late


def test_all_signers_of_a_settled_price_are_in_the_journal() -> None:
    world = World(NETWORK)
    world.run_until(START + 32)
    for node in world.nodes:
        (first, *_) = sorted(node.journal.proven.values(), key=lambda one: one.entry.report.round)
        assert first.entry.report.round == START
        assert len(first.entry.signatures) == 4


def test_a_later_life_knows_when_the_last_signer_came() -> None:
    world = World(NETWORK)
    world.run_until(START + 40)
    node = world.nodes[0]
    (first, *_) = sorted(node.journal.proven.values(), key=lambda one: one.entry.report.round)
    world.kill(0)
    world.restart(0)
    again = node.turns.machine.find_settled(first.id)
    assert again is not None
    assert again.last_signed_ms == first.last_signed_ms


def test_words_that_a_full_disk_kept_from_being_signed_are_not_kept() -> None:
    world = World(NETWORK)
    world.run_until(START + 20)
    node = world.nodes[0]
    node.journal.full = True
    world.run_until(START + 120)
    assert dict(measure(node.turns.machine))["Speaking._unsigned"] <= 1
