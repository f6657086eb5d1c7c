"""A network changes while it runs: those who hear late, who leave, who come, who know less."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from crafted import make_heartbeat, make_receipt, pack
from gossip_price.core import events as ev
from gossip_price.core.events import NoteKind
from gossip_price.core.rounds import get_vote_key, list_vote_keys, order_proposers
from gossip_price.core.types import Report
from gossip_price.core.wire import decode
from gossip_price.network.document import (
    Document,
    DocumentError,
    Mode,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.epochs import EpochChain
from networks import START, TERMS, SampleNetwork, make_network
from world import PRICE, World

#: All who will ever be members; their indices in the world.
ALL = make_network(6)


def choose(members: Iterable[int], **terms: object) -> Document:
    """Return the first epoch of these members."""
    chosen = tuple(ALL.document.members[index] for index in sorted(members))
    faulty = compute_faulty_default(len(chosen))
    fields: dict[str, object] = {
        "members": chosen,
        "faulty": faulty,
        "minimum_signers": compute_minimum_signers(Mode.ROUNDS, len(chosen), faulty),
    }
    return msgspec.structs.replace(ALL.document, **(fields | terms))


def follow(before: Document, members: Iterable[int], start: int, **terms: object) -> Document:
    """Return the epoch of these members after `before`, from `start` on."""
    fields = {"epoch": before.epoch + 1, "previous": "0x" + before.hash.hex(), "start": start}
    return choose(members, **(fields | {"interval": before.interval} | terms))


def as_network(document: Document) -> SampleNetwork:
    """Return an epoch as a sample network whose reports and signatures a test can make."""
    places = [ALL.document.index_by_address[address] for address in document.addresses]
    return SampleNetwork(
        document,
        tuple(ALL.signing_secrets[place] for place in places),
        tuple(ALL.identity_secrets[place] for place in places),
    )


FOUR = choose(range(4))
FIVE = follow(FOUR, range(5), START + 60)
BOTH = EpochChain([FOUR, FIVE])


def announce(world: World, chain: EpochChain, nodes: Iterable[int]) -> None:
    for index in nodes:
        # Every node reads its own file: no value is shared with the others.
        documents = [Document.parse(document.canonical) for document in chain.documents]
        world.give(index, ev.NetworkChanged(EpochChain(documents)))


def rounds_by_epoch(world: World) -> dict[bytes, list[int]]:
    rounds: dict[bytes, list[int]] = {}
    for row in world.get_rows():
        rounds.setdefault(row.report.epoch, []).append(row.report.round)
    return rounds


def test_members_take_up_an_epoch_at_its_round_and_no_round_is_lost() -> None:
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(5))
    world.run_until(START + 20)
    announce(world, BOTH, range(5))
    world.run_until(START + 200)
    rounds = rounds_by_epoch(world)
    assert rounds[FOUR.hash] == list(range(START, START + 60, 15))
    assert rounds[FIVE.hash][:6] == list(range(START + 60, START + 150, 15))
    newcomer = ALL.document.addresses[4]
    assert any(newcomer in dict(row.signatures) for row in world.get_rows())
    entered = world.nodes[4].get_notes(NoteKind.EPOCH_ENTERED)
    assert [(note.round, note.count) for note in entered] == [(START, 1), (START + 60, 2)]


def test_before_its_epoch_starts_a_newcomer_neither_signs_nor_beats() -> None:
    world = World(ALL, chain=BOTH, alive=range(5))
    world.run_until(START + 59)
    assert world.nodes[4].published == []
    assert world.get_writers_known_to(0) == {1, 2, 3}
    world.run_until(START + 80)
    assert world.get_writers_known_to(0) == {1, 2, 3, 4}


def test_one_that_hears_late_rejoins_in_the_round_under_way() -> None:
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(5))
    world.run_until(START + 20)
    announce(world, BOTH, (0, 1, 2, 4))
    world.run_until(START + 91)
    laggard = world.nodes[3]
    assert {v.report.epoch for v in laggard.past_votes} <= {FOUR.hash}
    voted = {vote.key for vote in laggard.past_votes}
    announce(world, BOTH, (3,))
    world.run_until(START + 200)
    assert rounds_by_epoch(world)[FIVE.hash][:6] == list(range(START + 60, START + 150, 15))
    # Where it had voted under the old epoch it has not voted again; afterwards it signs anew.
    keys = [vote.key for vote in laggard.past_votes]
    assert len(keys) == len(set(keys)) > len(voted)
    assert FIVE.hash in {vote.report.epoch for vote in laggard.past_votes}
    # What it had seen by then is still what it saw: nothing was fetched again.
    rounds = [note.round for note in laggard.get_notes(NoteKind.OBSERVED)]
    assert rounds.count(START + 90) == 1
    assert laggard.get_notes(NoteKind.EPOCH_KNOWN)[-1].count == 2


def test_what_laggards_prove_under_the_old_epoch_is_merged_and_no_second_price_is_proven() -> None:
    old = as_network(FOUR)
    world = World(ALL, chain=BOTH, alive=())
    world.begin(0)
    world.run_until(START + 76)
    report = old.report(5, proposer=1)
    world.send(1, pack(old.entry(report, (1, 2))))
    world.run_until(START + 77)
    assert "epoch_not_in_force" in world.nodes[0].get_reasons(NoteKind.IGNORED)
    world.send(1, pack(old.entry(report, (1, 2, 3))))
    world.run_until(START + 150)
    (row,) = [row for row in world.get_rows() if row.report.round == report.round]
    assert (row.report.epoch, len(row.signatures)) == (FOUR.hash, 3)
    assert not world.nodes[0].get_notes(NoteKind.REJECTED)


def test_a_report_of_an_epoch_before_its_start_is_false() -> None:
    network = as_network(FIVE)
    early = msgspec.structs.replace(network.report(0), round=START + 45, observed_at=START + 46)
    world = World(ALL, chain=BOTH, alive=(0,))
    world.run_until(START + 46)
    world.send(1, pack(network.entry(early, (0, 1, 2, 3, 4))))
    world.run_until(START + 47)
    assert "epoch_not_started" in world.nodes[0].get_reasons(NoteKind.REJECTED)


def test_who_has_voted_under_the_old_mode_signs_no_second_price_under_the_new() -> None:
    every = choose(range(4), mode=Mode.EVERY_NODE)
    rounds = follow(every, range(4), START + 60, mode=Mode.ROUNDS)
    for before, after in ((every, rounds), _turn_around()):
        world = World(ALL, chain=EpochChain([before]), alive=range(4))
        world.run_until(START + 63)
        assert {vote.report.epoch for vote in world.nodes[0].past_votes} == {before.hash}
        announce(world, EpochChain([before, after]), range(4))
        world.run_until(START + 74)
        for node in world.nodes[:4]:
            voted = [v.report.epoch for v in node.past_votes if v.report.round == START + 60]
            assert set(voted) == {before.hash}


def _turn_around() -> tuple[Document, Document]:
    rounds = choose(range(4))
    return rounds, follow(rounds, range(4), START + 60, mode=Mode.EVERY_NODE)


def test_a_price_asked_for_in_the_old_decimals_is_none_of_the_new_epochs() -> None:
    """Who hears late has begun to fetch by the old terms: the same digits are another price."""
    coarse = msgspec.structs.replace(TERMS, decimals=6)
    after = follow(FOUR, range(4), START + 60, pairs=(coarse,))
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(4))
    late = world.nodes[as_network(after).document.index_by_address[
        order_proposers(after, TERMS.pair, START + 60)[0]]]  # fmt: skip
    world.fetch_ms_by_member[late.index] = 3_000
    announce(world, EpochChain([FOUR, after]), set(range(4)) - {late.index})
    world.run_until(START + 62)
    announce(world, EpochChain([FOUR, after]), (late.index,))
    # What it asked for first comes a second later; what it asks for by the new terms, after that.
    world.run_until(START + 90)
    observed = [note for note in late.get_notes(NoteKind.OBSERVED) if note.round == START + 60]
    assert [(note.price, note.decimals) for note in observed] == [(PRICE // 100, 6)]


@pytest.mark.parametrize(("before_s", "after_s"), [(15, 600), (600, 15)])
def test_an_interval_is_changed_and_every_round_of_both_is_stored(
    before_s: int, after_s: int
) -> None:
    first = choose(range(4), interval=before_s)
    change = START + 600
    chain = EpochChain([first, follow(first, range(4), change, interval=after_s)])
    world = World(ALL, chain=EpochChain([first]), alive=range(4))
    world.run_until(START + 300)
    announce(world, chain, range(4))
    world.run_until(change + 1200)
    rounds = [row.report.round for row in world.get_rows()]
    expected = [*range(START, change, before_s), *range(change, change + 1200, after_s)]
    assert rounds[: len(expected) - 5] == expected[: len(expected) - 5]


def test_one_that_hears_of_a_longer_interval_late_enters_the_round_under_way() -> None:
    first = choose(range(4))
    chain = EpochChain([first, follow(first, range(4), START + 600, interval=600)])
    world = World(ALL, chain=EpochChain([first]), alive=range(3))
    announce(world, chain, range(2))
    world.run_until(START + 590)
    # Node 2 sees nothing proposed from now on: it votes alone, in short rounds of its own.
    world.drops = lambda sender, receiver, data: True
    world.run_until(START + 640)
    world.drops = lambda sender, receiver, data: False
    announce(world, chain, (2,))
    world.run_until(START + 700)
    machine = world.nodes[2].turns.machine
    assert machine.find_clock_problem(world.now(world.nodes[2])) is None
    assert world.nodes[2].get_notes(NoteKind.EPOCH_ENTERED)[-1].round == START + 600


def test_a_removed_member_stops_and_what_it_goes_on_saying_counts_for_nothing() -> None:
    first = choose(range(5))
    chain = EpochChain([first, follow(first, range(4), START + 60)])
    world = World(ALL, chain=chain, alive=range(5))
    world.run_until(START + 58)
    assert world.get_writers_known_to(0) == {1, 2, 3, 4}
    world.run_until(START + 60 + first.skew + first.settle + 20)
    assert world.get_writers_known_to(0) == {1, 2, 3}
    said = len(world.nodes[4].published)
    world.run_until(START + 140)
    assert len(world.nodes[4].published) == said
    # One that lies goes on; its words are passed over, and prices flow.
    old = as_network(first)
    rows = len(world.get_rows())
    world.send(4, pack(heartbeats=[make_heartbeat(old, 4, boot=10**13)]))
    world.send(4, pack(receipts=[make_receipt(old, 4, [b"i" * 32])]))
    world.send(4, pack(old.entry(old.report(9, proposer=4), (4,))))
    world.run_until(START + 220)
    reasons = set(world.nodes[0].get_reasons(NoteKind.IGNORED))
    assert {"epoch_over", "unknown_writer", "epoch_not_in_force"} <= reasons
    assert world.get_writers_known_to(0) == {1, 2, 3}
    assert len(world.get_rows()) > rows


def test_a_removed_member_is_heard_until_its_last_rounds_have_settled_and_writes_them() -> None:
    first = choose(range(5))
    chain = EpochChain([first, follow(first, range(4), START + 60)])
    # Nobody else reaches the database.
    world = World(ALL, chain=chain, alive=range(5), store_up=False)
    world.run_until(START + 62)
    world.nodes[4].published.clear()
    world.table.up = True
    world.give_store(4, b"S" * 32)
    world.run_until(START + 130)
    stored = {
        row.report.round for row in world.get_rows() if row.writer == ALL.document.addresses[4]
    }
    assert START + 45 in stored
    # Nobody would ask it for what it alone knows, did it not say so.
    assert any(decode(data).heartbeats for data in world.nodes[4].published)


def test_a_raised_threshold_holds_from_its_round_on() -> None:
    first = choose(range(6))
    raised = follow(first, range(6), START + 60, minimum_signers=5)
    world = World(ALL, chain=EpochChain([first, raised]), alive=range(4))
    world.run_until(START + 200)
    assert set(rounds_by_epoch(world)) == {first.hash}
    world.begin(4)
    world.run_until(START + 320)
    rows = [row for row in world.get_rows() if row.report.epoch == raised.hash]
    assert rows
    assert all(len(row.signatures) >= 5 for row in rows)


def test_a_protocol_that_a_node_does_not_know_is_read_and_told_and_not_signed() -> None:
    first = choose(range(4))
    chain = EpochChain([first, follow(first, range(4), START + 60, protocol=2)])
    world = World(ALL, chain=chain, alive=range(4))
    node = world.nodes[0]
    world.run_until(START + 30)
    (told,) = node.get_notes(NoteKind.PROTOCOL_UNKNOWN)
    assert (told.count, told.reason) == (2, "protocol 2")
    assert node.turns.machine.find_protocol_problem(world.now(node)) is None
    world.run_until(START + 200)
    problem = node.turns.machine.find_protocol_problem(world.now(node))
    assert problem is not None
    assert "epoch 2 has protocol 2, this version knows 1" in problem
    assert {vote.report.epoch for vote in node.past_votes} == {first.hash}
    assert set(rounds_by_epoch(world)) == {first.hash}
    # Nor is it taken in, however many have signed it: by which rules did they?
    network = as_network(chain.newest)
    world.send(1, pack(network.entry(network.report(9, proposer=1), (0, 1, 2, 3))))
    world.run_until(START + 201)
    assert "unknown_protocol" in node.get_reasons(NoteKind.IGNORED)
    assert chain.newest.hash not in {
        note.entry.report.epoch for note in node.journal.proven.values()
    }


def test_other_epochs_at_the_place_of_known_ones_are_refused_with_a_reason() -> None:
    other = follow(FOUR, range(5), START + 60, max_deviation=50)
    world = World(ALL, chain=BOTH, alive=(0,))
    announce(world, EpochChain([FOUR, other]), (0,))
    announce(world, EpochChain([FOUR]), (0,))
    world.run_until(START + 1)
    first, second = world.nodes[0].get_notes(NoteKind.EPOCH_REFUSED)
    assert "remedy: add epochs to the file, change none" in first.detail
    assert "epoch 2 is known and missing here" in second.detail
    world.run_until(START + 80)
    assert world.nodes[0].get_notes(NoteKind.EPOCH_ENTERED)[-1].id == FIVE.hash


def test_no_life_knows_less_than_the_one_before() -> None:
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(4))
    world.run_until(START + 5)
    announce(world, BOTH, (0,))
    world.run_until(START + 6)
    assert world.nodes[0].journal.epoch == ev.EpochRecord(2, FIVE.hash)
    world.kill(0)
    with pytest.raises(DocumentError, match="nobody goes back to an older one"):
        world.begin(0)
    world.chain = BOTH
    world.begin(0)
    world.run_until(START + 120)
    assert world.nodes[0].get_notes(NoteKind.EPOCH_ENTERED)[-1].id == FIVE.hash


def test_a_report_signed_under_two_epochs_of_one_round_never_leaves_an_honest_node() -> None:
    """The same price, round and proposer: another epoch is another report all the same."""
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(4))
    world.run_until(START + 62)
    announce(world, BOTH, range(4))
    world.run_until(START + 300)
    signed: dict[tuple[int, int], set[bytes]] = {}
    for node in world.nodes[:4]:
        for vote in node.past_votes:
            assert isinstance(vote.report, Report)
            signed.setdefault((node.index, vote.report.round), set()).add(vote.id)
    assert all(len(ids) == 1 for ids in signed.values())


def test_an_epoch_that_met_a_full_disk_is_remembered_once_there_is_space() -> None:
    world = World(ALL, chain=EpochChain([FOUR]), alive=range(4))
    world.run_until(START + 20)
    node = world.nodes[0]
    node.journal.full = True
    announce(world, BOTH, range(4))
    world.run_until(START + 40)
    node.journal.full = False
    world.run_until(START + 50)
    assert node.journal.epoch == ev.EpochRecord(FIVE.epoch, FIVE.hash)


def test_every_proposer_of_every_epoch_of_the_other_mode_binds_a_round_of_rounds() -> None:
    """Who hears of two epochs at once may have voted under the one before both."""
    every = choose(range(5), mode=Mode.EVERY_NODE)
    fewer = follow(every, range(4), START + 60, mode=Mode.EVERY_NODE)
    rounds = follow(fewer, range(4), START + 120, mode=Mode.ROUNDS)
    chain = EpochChain([every, fewer, rounds])
    keys = list_vote_keys(rounds, chain, TERMS.pair, START + 120, rounds.addresses[0])
    for proposer in every.addresses:
        assert get_vote_key(every, TERMS.pair, START + 120, proposer) in keys


def test_the_last_round_of_an_epoch_is_signed_within_the_skew_after_the_next_has_begun() -> None:
    old = as_network(FOUR)
    world = World(ALL, chain=BOTH, start_s=START + 46, alive=(0,))
    world.run_until(START + 61)
    world.send(1, pack(old.entry(old.report(3, proposer=1), (1,))))
    world.run_until(START + 64)
    (vote,) = [vote for vote in world.nodes[0].past_votes if vote.report.round == START + 45]
    assert vote.report.epoch == FOUR.hash
