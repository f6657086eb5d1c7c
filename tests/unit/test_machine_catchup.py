"""Who lacks what others have proven long ago gets it from them: never from the database.

The worlds here begin with journals that a whole day has filled, unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crafted import make_heartbeat, pack
from gossip_price.core import doorkeeper, reports
from gossip_price.core import events as ev
from gossip_price.core.events import NoteKind
from gossip_price.core.forest import Root, Roots, decode_roots, encode_roots
from gossip_price.core.limits import (
    ASK_IDS_MAX,
    CATCHUP_PATIENCE_AHEAD,
    CATCHUP_PATIENCE_MS,
    QUESTION_BYTES_MAX,
    RECEIPT_TRUST_MS,
    WALK_NODES_FREE,
)
from gossip_price.core.merkle import Tree, compute_node_hash
from gossip_price.core.questions import (
    Want,
    WantNodes,
    decode_answer,
    decode_nodes,
    decode_question,
    encode_answer,
    encode_nodes,
    encode_question,
)
from gossip_price.core.types import Entry
from gossip_price.core.wire import decode
from gossip_price.crypto import keccak256
from gossip_price.network.document import DAY_S
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator.checkers.bounds import measure
from networks import START, SampleNetwork, make_network
from past import NEXT_DAY, begin_with, get_known, make_past, recall
from world import STORE, Node, World

TODAY = NEXT_DAY // DAY_S
YESTERDAY = TODAY - 1


def get_newest_roots(node: Node) -> bytes:
    beats = [beat for data in node.published for beat in decode(data).heartbeats]
    return beats[-1].roots


def run_until_true(world: World, since_ms: int, is_so: Callable[[], bool]) -> tuple[int, int]:
    """Run on from `since_ms`; return beginning and end of the tenth of a second that made it so."""
    for ms in range(since_ms, since_ms + 600_000, 100):
        world.run_until_ms(ms + 100)
        if is_so():
            return ms, ms + 100
    raise AssertionError("not within ten minutes")


def count_questions(node: Node) -> tuple[int, int]:
    """Return how many nodes of trees and how many ids a node has asked for."""
    questions = [decode_question(data) for _, data in node.asked]
    nodes = sum(len(one.nodes) for one in questions if isinstance(one, WantNodes))
    return nodes, sum(len(one.ids) for one in questions if isinstance(one, Want))


def assert_agreed(world: World, indices: range) -> None:
    first, *others = (get_known(world, index) for index in indices)
    for other in others:
        assert other == first


def test_a_node_that_was_away_for_a_day_knows_and_journals_all_of_it() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past, 1: past, 2: past, 3: []})
    world.run_until(NEXT_DAY + 150)
    assert_agreed(world, range(4))
    assert len(get_known(world, 3)) >= 144
    assert sum(note.count for note in world.nodes[3].get_notes(NoteKind.CAUGHT_UP)) >= 144
    # Pull only: who lacks nothing asks nothing.
    assert [count_questions(world.nodes[index])[1] for index in range(3)] == [0, 0, 0]
    assert not any(node.penalized for node in world.nodes)


def test_a_lost_volume_of_several_days_and_of_an_old_epoch_comes_back() -> None:
    network = make_network(4, interval=1200)
    following = network.follow(start_index=100, members=5)
    past = [
        *make_past(network, range(100)).values(),
        *make_past(following, range(60), (0, 1, 2, 3)).values(),
    ]
    start_s = following.document.start + 60 * 1200 + 3_600
    chain = EpochChain([network.document, following.document])
    world = World(following, start_s=start_s, alive=[], chain=chain)
    for index in range(4):
        recall(world, index, past)
        world.begin(index)
    world.run_until(start_s + 10)
    world.kill(3)
    world.restart(3, lost_volume=True)
    world.run_until(start_s + 400)
    assert get_known(world, 3).items() >= get_known(world, 0).items()
    assert len(get_known(world, 3)) >= 160


def test_a_restart_asks_for_nothing_that_the_journal_holds() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, dict.fromkeys(range(4), past))
    world.run_until(NEXT_DAY + 20)
    roots = [get_newest_roots(node) for node in world.nodes]
    assert len(set(roots)) == 1
    assert decode_roots(roots[0]).days[YESTERDAY].signatures == 3 * 144
    world.kill(0)
    world.restart(0)
    world.run_until(NEXT_DAY + 400)
    assert [count_questions(node)[0] for node in world.nodes] == [0] * 4


def test_late_signatures_reach_every_peer_and_every_journal() -> None:
    network = make_network(4, interval=600)
    entries = make_past(network, range(144))
    past = list(entries.values())
    signed_later = network.entry(entries[7].report, (0, 1, 2, 3))
    world = begin_with(network, {0: past, 1: past, 2: past, 3: [*past, signed_later]})
    world.run_until(NEXT_DAY + 200)
    assert_agreed(world, range(4))
    assert len(get_known(world, 0)[network.compute_id(signed_later.report)]) == 4
    # One id was asked for, and it was written to no database again: its row stands.
    assert [count_questions(world.nodes[index])[1] for index in range(4)] == [1, 1, 1, 0]


def test_a_late_signature_of_what_left_memory_is_added_to_what_the_journal_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "RECENT_MAX", 4)
    network = make_network(5, interval=600)
    report = network.report(7, 250_000_000_007, 0)
    past = [*make_past(network, range(144), (0, 1, 2, 3)).values()]
    world = begin_with(network, {0: past})
    world.run_until(NEXT_DAY + 2)
    assert world.nodes[0].turns.machine.find_settled(network.compute_id(report)) is None
    # Gossip, months of messages later: a minimum of signers, one of them new.
    world.send(4, pack(network.entry(report, (0, 1, 2, 4))))
    world.run_until(NEXT_DAY + 4)
    assert get_known(world, 0)[network.compute_id(report)] == {0, 1, 2, 3, 4}
    assert not world.nodes[0].penalized
    # The question to the journal is done with.
    assert dict(measure(world.nodes[0].turns.machine))["Recalls._wanted"] == 0


def test_an_old_entry_that_says_nothing_new_costs_nothing_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "RECENT_MAX", 4)
    network = make_network(5, interval=600)
    report = network.report(7, 250_000_000_007, 0)
    entries = make_past(network, range(144), (0, 1, 2, 3))
    past = [*(entries | {7: network.entry(report, (0, 1, 2, 3, 4))}).values()]
    world = begin_with(network, {0: past})
    world.run_until(NEXT_DAY + 2)
    assert world.nodes[0].turns.machine.find_settled(network.compute_id(report)) is None
    checked: list[bytes] = []
    monkeypatch.setattr(doorkeeper, "check_signature", lambda id_, *rest: checked.append(id_))
    before = world.nodes[0].journal.transactions
    world.send(4, pack(network.entry(report, (0, 1, 2))))
    world.run_until(NEXT_DAY + 3)
    assert checked == []
    assert world.nodes[0].journal.transactions == before
    assert len(get_known(world, 0)[network.compute_id(report)]) == 5


def test_what_is_no_more_in_memory_is_given_from_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "RECENT_MAX", 4)
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past, 1: [], 2: past})
    world.run_until(NEXT_DAY + 150)
    assert_agreed(world, range(3))
    assert world.nodes[0].turns.machine.count_reports() < 20


@pytest.mark.parametrize("common", [0, 100])
def test_two_halves_of_a_partition_agree_bitmaps_included(common: int) -> None:
    # Each half has signed and proven what the other has not heard of.
    network = make_network(6, interval=600, minimum_signers=3, mode="EveryNode")
    both = list(make_past(network, range(common), (0, 1, 2, 3, 4, 5)).values())
    one = list(make_past(network, range(common, 144), (0, 1, 2)).values())
    other = list(make_past(network, range(common, 144), (3, 4, 5)).values())
    # Of one round both halves have the same report, signed by different members.
    shared = network.report(143, 1_000_000_000, 0)
    one.append(network.entry(shared, (0, 1, 2)))
    other.append(network.entry(shared, (0, 3, 4, 5)))
    world = begin_with(
        network,
        {**dict.fromkeys(range(3), both + one), **dict.fromkeys(range(3, 6), both + other)},
    )
    world.run_until(NEXT_DAY + 400)
    assert_agreed(world, range(6))
    assert get_known(world, 0)[network.compute_id(shared)] == frozenset(range(6))
    assert len({get_newest_roots(node) for node in world.nodes}) == 1


def test_catching_up_reads_no_database_and_writes_only_what_nobody_vouches_for_an_hour() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past, 1: past, 2: past, 3: []})
    old = {network.compute_id(entry.report) for entry in past}
    world.table.rows.update({row.id: row for row in network.rows(144) if row.id in old})
    node = world.nodes[3]
    begun_ms, _ = run_until_true(world, NEXT_DAY * 1000, lambda: bool(node.asked))
    _, ended_ms = run_until_true(world, begun_ms + 100, lambda: old <= get_known(world, 3).keys())
    reads = [(ms, read) for ms, read in node.audits if isinstance(read, ev.ReadRows)]
    # Its audit on connecting has read: what follows would have been recorded, too.
    assert [ms for ms, _ in reads if ms < begun_ms]
    assert not [ms for ms, _ in reads if begun_ms <= ms <= ended_ms]
    world.run_until(NEXT_DAY + 600)
    named = {id_ for _, read in node.audits if isinstance(read, ev.ReadRows) for id_ in read.ids}
    assert not named & old
    assert not node.get_notes(NoteKind.STORED)
    # A later life of it, too, only looks after what others have stored.
    stored = world.nodes[3].journal.stored
    assert [stored[id_].confirmed for id_ in old] == [False] * 144
    assert set(world.server.writers) <= {0, 1, 2, 3}
    before = world.server.writers.count(3)
    world.run_until(NEXT_DAY + 200 + RECEIPT_TRUST_MS // 1000)
    # All of it together, in one statement or two, beside what it writes of today.
    written = [record for id_, record in world.nodes[3].journal.stored.items() if id_ in old]
    assert len(written) == 144
    assert all(record.confirmed for record in written)
    assert world.server.writers.count(3) - before <= 6 + 2


def test_in_peace_roots_agree_and_nobody_asks() -> None:
    network = make_network(4, interval=15)
    world = World(network)
    world.run_until(START + 1_300)
    roots = {get_newest_roots(node) for node in world.nodes}
    assert len(roots) == 1
    assert decode_roots(roots.pop()).days[START // DAY_S].signatures >= 4 * 60
    assert [len(node.asked) for node in world.nodes] == [0] * 4


def test_clocks_that_differ_by_the_skew_ask_nobody() -> None:
    network = make_network(4, interval=15)
    world = World(network, clock_errors_ms=[-2_400, 2_400, 0, 1_000])
    world.run_until(START + 1_300)
    assert [count_questions(node)[0] for node in world.nodes] == [0] * 4


def test_who_has_more_waits_for_the_other_to_ask() -> None:
    network = make_network(4, interval=600)
    entries = make_past(network, range(144))
    some = [entry for number, entry in entries.items() if number != 7]
    world = begin_with(network, {0: list(entries.values()), 1: some})
    world.answers = lambda asked, asker, data: None if asked == 0 else data
    patience_s = CATCHUP_PATIENCE_MS // 1000
    world.run_until(NEXT_DAY + 3 * patience_s)
    assert world.nodes[0].asked == []
    world.run_until(NEXT_DAY + 2 * patience_s * CATCHUP_PATIENCE_AHEAD + 10)
    assert count_questions(world.nodes[0])[0] > 0


def test_a_node_that_leaves_answers_still_and_walks_no_more() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past, 1: []})
    world.run_until(NEXT_DAY + 20)
    world.nodes[1].asked.clear()
    world.close(1)
    world.run_until(NEXT_DAY + 120)
    assert world.nodes[1].asked == []


# --- liars ----------------------------------------------------------------------------------


class LyingTree:
    """A tree in the liar's name, its roots in signed heartbeats, each as it likes."""

    def __init__(self, network: SampleNetwork, liar: int, tree: Tree) -> None:
        self.network = network
        self.liar = liar
        self.tree = tree
        self.answered = 0
        self._sequence = 0

    def beat(self, world: World, cut: int) -> None:
        self._sequence += 1
        root = Root(2**31, self.tree.root)
        roots = encode_roots(Roots(cut, {YESTERDAY: root}))
        beat = make_heartbeat(
            self.network, self.liar, boot=2**50, sequence=self._sequence, store=STORE, roots=roots
        )
        world.send(self.liar, pack(heartbeats=[beat]), [0])

    def answer(self, question: Want | WantNodes) -> bytes:
        """Answer as an honest holder of this tree would."""
        if isinstance(question, Want):
            return encode_answer([])
        return encode_nodes([self.tree.find_node(*node) for node in question.nodes])


def make_fake_tree(count: int, bits: int = 15) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.add(keccak256(b"fake %d" % number), bits)
    return tree


def run_liar(
    answer: Callable[[LyingTree, Want | WantNodes], bytes],
    tree: Tree,
    *,
    seconds: int,
    network: SampleNetwork | None = None,
) -> tuple[World, Node]:
    """Let member 3 lie about its tree to member 0 for a while."""
    network = network or make_network(4, interval=600)
    world = begin_with(network, {0: list(make_past(network, range(144)).values()), 3: []})
    liar = LyingTree(network, 3, tree)
    world.ears[3] = lambda author, data: None

    def ask(node: object, effect: ev.Ask) -> None:
        liar.answered += 1
        data = answer(liar, decode_question(effect.data))
        world.give(0, ev.Answered(effect.peer, data), 10)

    world.streams.ask = ask  # type: ignore[method-assign]  # it has but one to ask
    for second in range(0, seconds, 5):
        liar.beat(world, (NEXT_DAY + second - 700) // 300 * 300)
        world.run_until(NEXT_DAY + second + 5)
    assert liar.answered > 0
    return world, world.nodes[0]


def give_wrong_nodes(liar: LyingTree, question: Want | WantNodes) -> bytes:
    assert isinstance(question, WantNodes)
    other = make_fake_tree(17)
    return encode_nodes([other.find_node("", other.root)] * len(question.nodes))


def give_too_many(liar: LyingTree, question: Want | WantNodes) -> bytes:
    return encode_nodes([b""] * 2)


def give_garbage(liar: LyingTree, question: Want | WantNodes) -> bytes:
    return b"\xc1 no answer"


def give_another_kind(liar: LyingTree, question: Want | WantNodes) -> bytes:
    return encode_answer([])


def give_forged(liar: LyingTree, question: Want | WantNodes) -> bytes:
    """The whole tree is honest, but the entry has one member's signature under each name."""
    if isinstance(question, WantNodes):
        return liar.answer(question)
    entry = liar.network.entry(liar.network.report(3, 5, 3), (3,))
    (signature,) = entry.signatures
    forged = tuple(type(signature)(member, signature.signature) for member in range(4))
    return encode_answer([Entry(entry.report, forged)])


def make_forged_tree() -> Tree:
    network = make_network(4, interval=600)
    tree = Tree()
    tree.add(network.compute_id(network.report(3, 5, 3)), 15)
    return tree


LIES: dict[str, tuple[Callable[[LyingTree, Want | WantNodes], bytes], Callable[[], Tree], str]] = {
    "a node that is not the hash's": (give_wrong_nodes, lambda: make_fake_tree(50), "false_node"),
    "another number of nodes": (give_too_many, lambda: make_fake_tree(50), "unasked"),
    "garbage": (give_garbage, lambda: make_fake_tree(50), "malformed"),
    "another kind of answer": (give_another_kind, lambda: make_fake_tree(50), "malformed"),
    "an id with forged signatures": (give_forged, make_forged_tree, "bad_signature"),
}


@pytest.mark.parametrize(("answer", "make", "reason"), LIES.values(), ids=LIES)
def test_a_provable_lie_about_a_tree_cuts_its_author_off(
    answer: Callable[[LyingTree, Want | WantNodes], bytes], make: Callable[[], Tree], reason: str
) -> None:
    world, victim = run_liar(answer, make(), seconds=80)
    assert (world.nodes[3].peer_id, reason) in victim.penalized
    assert {peer for peer, _ in victim.penalized} == {world.nodes[3].peer_id}


def test_a_leaf_out_of_order_is_a_lie_whatever_its_hash() -> None:
    class Disordered(Tree):
        """Committed to by its root: one leaf, two ids, the greater first."""

        data = b"\x00" + b"\xff" * 32 + b"\x01\x0f" + b"\x01" * 32 + b"\x01\x0f"

        @property
        def root(self) -> bytes:
            return compute_node_hash(self.data)

        def find_node(self, place: str, hash_: bytes) -> bytes:
            return self.data

    _, victim = run_liar(LyingTree.answer, Disordered(), seconds=80)
    assert [reason for _, reason in victim.penalized][:1] == ["false_node"]


def test_a_huge_tree_of_ids_that_there_are_not_costs_little_and_ever_less() -> None:
    tree = make_fake_tree(20_000)
    _, victim = run_liar(LyingTree.answer, tree, seconds=2_400)
    nodes, ids = count_questions(victim)
    # Each walk ends with the first question that gives nothing; after 1, 2, 4, 8 … minutes again.
    assert ids <= 8 * ASK_IDS_MAX
    assert nodes <= 8 * WALK_NODES_FREE
    assert all(len(data) <= QUESTION_BYTES_MAX for _, data in victim.asked)
    assert get_known_fakes(victim) == 0


def get_known_fakes(node: Node) -> int:
    fakes = {keccak256(b"fake %d" % number) for number in range(20_000)}
    return len(fakes & node.journal.proven.keys())


def test_a_root_that_is_another_at_each_beat_leads_nowhere_and_costs_little() -> None:
    changing = [0]

    def answer(liar: LyingTree, question: Want | WantNodes) -> bytes:
        changing[0] += 1
        liar.tree.add(keccak256(b"more %d" % changing[0]), 15)
        return liar.answer(question)

    _, victim = run_liar(answer, make_fake_tree(1_000), seconds=2_400)
    assert sum(count_questions(victim)) <= 8 * (WALK_NODES_FREE + ASK_IDS_MAX)
    assert not victim.penalized


def test_a_silent_liar_does_not_keep_an_honest_peer_from_giving() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past, 1: past, 3: []})
    silent = world.nodes[1].peer_id
    world.answers = lambda asked, asker, data: None if asked == 1 else data
    world.run_until(NEXT_DAY + 200)
    assert get_known(world, 3).items() >= get_known(world, 0).items()
    assert sum(peer == silent for peer, _ in world.nodes[3].asked) <= 4


def test_answers_never_carry_more_than_was_asked_for() -> None:
    network = make_network(4, interval=600)
    past = list(make_past(network, range(144)).values())
    world = begin_with(network, {0: past})
    world.run_until(NEXT_DAY + 10)
    node = world.nodes[0]

    def ask(question: Want | WantNodes) -> bytes:
        outward = node.turns.take([ev.Asked("peer", 1, encode_question(question))], world.now(node))
        return next(effect.data for effect in outward if isinstance(effect, ev.Answer))

    assert decode_nodes(ask(WantNodes(1, (("", bytes(32)),)))).nodes == (b"",)
    assert decode_answer(ask(Want((bytes(32),)))).entries == ()
    root = decode_roots(get_newest_roots(node)).days[YESTERDAY].hash
    (data,) = decode_nodes(ask(WantNodes(YESTERDAY, (("", root),)))).nodes
    assert data[:1] == b"\x01"
