"""What gossip lost is asked for: by who lacks it, from who has it, at a bounded price.

Where a test is run without connections, nobody can ask anybody: it shows what healing is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from crafted import carries_entries, get_ranked, make_heartbeat, pack
from gossip_price import crypto
from gossip_price.core import events as ev
from gossip_price.core import merging
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import (
    ANSWERS_A_SECOND,
    ASK_IDS_MAX,
    HEARTBEAT_MS,
    MESSAGE_BYTES_MAX,
    OPEN_IDS_MAX,
    QUESTION_BYTES_MAX,
)
from gossip_price.core.questions import (
    Want,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
)
from gossip_price.core.types import Entry
from gossip_price.core.wire import decode, decode_open, encode_open
from gossip_price.network.document import PairTerms
from gossip_price.network.epochs import EpochChain
from networks import START, SampleNetwork, make_network
from world import Node, World

#: Of a network of three that all must sign: by rank, whose report or signature is lost to whom.
LOSSES = {
    "the first to the second": {(0, 1), (2, 1)},
    "the first to both": {(0, 1), (0, 2)},
    "the second to the first": {(1, 0)},
    "the second to the third": {(1, 2)},
    "the second to both": {(1, 0), (1, 2)},
    "each to the next": {(0, 1), (1, 2), (2, 0), (2, 1)},
    "the second to both, the third to it": {(1, 0), (1, 2), (2, 1)},
    "all to all": {(one, other) for one in range(3) for other in range(3)},
}


def make_trio() -> SampleNetwork:
    """A network of three, of which all must sign, with time to heal before others propose."""
    return make_network(3, minimum_signers=3, interval=30, fallback_delay=20)


def lose(
    ranked: Sequence[int], losses: set[tuple[int, int]], until_s: int = 30
) -> Callable[[int, int, bytes], bool]:
    """Drop messages with entries between these ranks, which carry reports and signatures."""
    lost = {(ranked[sender], ranked[receiver]) for sender, receiver in losses}
    return lambda sender, receiver, data: (sender, receiver) in lost and carries_entries(data)


def count_proofs(node: Node, round_start: int) -> int:
    """Return how many signatures this node knows for what is proven of a round."""
    proven = node.journal.proven.values()
    return sum(
        len(record.entry.signatures)
        for record in proven
        if record.entry.report.round == round_start
    )


def get_questions(node: Node) -> list[tuple[str, tuple[bytes, ...]]]:
    questions = [(peer, decode_question(data)) for peer, data in node.asked]
    return [(peer, question.ids) for peer, question in questions if isinstance(question, Want)]


def isolate(world: World) -> None:
    """Let nobody ask anybody."""
    world.connected = lambda asker, asked: False


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
def test_of_three_that_all_must_sign_everybody_proves_what_was_lost_to_some(
    lost: set[tuple[int, int]],
) -> None:
    network = make_trio()
    world = World(network)
    world.drops = lose(get_ranked(network, 0), lost)
    world.run_until(START + 29)
    assert [count_proofs(node, START) for node in world.nodes] == [3, 3, 3]
    world.run_until(START + 70)
    assert START in [row.report.round for row in world.get_rows()]
    assert any(node.get_notes(NoteKind.HEALED) for node in world.nodes)
    assert not any(node.penalized for node in world.nodes)


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
def test_without_questions_somebody_does_not_prove_it(lost: set[tuple[int, int]]) -> None:
    network = make_trio()
    world = World(network)
    isolate(world)
    world.drops = lose(get_ranked(network, 0), lost)
    world.run_until(START + 29)
    assert min(count_proofs(node, START) for node in world.nodes) < 3


@pytest.mark.parametrize("heals", [True, False])
def test_a_signature_that_nobody_heard_and_whose_owner_misses_another_still_makes_a_row(
    heals: bool,
) -> None:
    network = make_trio()
    world = World(network)
    if not heals:
        isolate(world)
    # No member has all three.
    world.drops = lose(get_ranked(network, 0), LOSSES["the second to both, the third to it"])
    world.run_until(START + 70)
    assert (START in [row.report.round for row in world.get_rows()]) is heals


@pytest.mark.parametrize("beats_lost", [1, 2, 3])
def test_lost_heartbeats_only_delay_it(beats_lost: int) -> None:
    network = make_trio()
    world = World(network)
    until_ms = (START + beats_lost * HEARTBEAT_MS // 1000) * 1000
    loses = lose(get_ranked(network, 0), LOSSES["the second to both, the third to it"])
    world.drops = lambda sender, receiver, data: (
        loses(sender, receiver, data)
        or (START * 1000 <= world.wall_ms < until_ms and not carries_entries(data))
    )
    world.run_until(START + 29)
    assert [count_proofs(node, START) for node in world.nodes] == [3, 3, 3]
    row = next(iter(world.nodes[0].journal.proven.values()))
    assert row.last_signed_ms >= until_ms


def test_heartbeats_of_one_that_never_arrive_are_made_up_for_by_the_others() -> None:
    network = make_trio()
    ranked = get_ranked(network, 0)
    world = World(network)
    # The third hears nothing at all of the second, in gossip.
    world.drops = lambda sender, receiver, data: (sender, receiver) == (ranked[1], ranked[2])
    world.run_until(START + 29)
    assert [count_proofs(node, START) for node in world.nodes] == [3, 3, 3]


@pytest.mark.parametrize("heals", [True, False])
def test_members_that_are_not_connected_heal_over_those_between_them(heals: bool) -> None:
    # A chain, and gossip carries heartbeats alone: everything goes from hand to hand.
    network = make_network(4, minimum_signers=4, interval=120, fallback_delay=100)
    world = World(network)
    world.connected = lambda asker, asked: heals and abs(asker - asked) == 1
    world.drops = lambda sender, receiver, data: carries_entries(data)
    world.run_until(START + 119)
    assert [count_proofs(node, START) for node in world.nodes] == [4 if heals else 0] * 4


@pytest.mark.parametrize("heals", [True, False])
def test_who_was_away_when_it_was_proposed_still_signs_it(heals: bool) -> None:
    network = make_trio()
    away = get_ranked(network, 0)[2]
    world = World(network)
    if not heals:
        isolate(world)
    world.run_until(START - 1)
    world.kill(away)
    world.run_until(START + 4)
    world.restart(away)
    world.run_until(START + 70)
    assert (START in [row.report.round for row in world.get_rows()]) is heals


def test_who_lost_its_volume_takes_what_is_proven_and_signs_nothing_of_that_round() -> None:
    network = make_network(4, interval=60, fallback_delay=50)
    loser = get_ranked(network, 0)[3]
    world = World(network)
    world.run_until(START + 5)
    world.kill(loser)
    world.restart(loser, lost_volume=True)
    world.run_until(START + 55)
    assert count_proofs(world.nodes[loser], START) == 4
    assert not any(vote.report.round == START for vote in world.nodes[loser].journal.votes.values())


def test_a_report_that_comes_after_its_round_is_merged_if_proven_and_never_signed() -> None:
    network = make_network(4, interval=15)
    late = get_ranked(network, 0)[3]
    world = World(network)
    alone = True
    world.connected = lambda asker, asked: not alone
    world.drops = lambda sender, receiver, data: alone and late in (sender, receiver)
    world.run_until(START + 22)  # the round and the skew are over
    alone = False
    world.run_until(START + 32)
    assert count_proofs(world.nodes[late], START) == 3
    (proven,) = [id_ for id_, record in world.nodes[late].journal.proven.items()
                 if record.entry.report.round == START]  # fmt: skip
    assert proven not in {vote.id for vote in world.nodes[late].journal.votes.values()}


def test_where_nothing_is_lost_nobody_asks() -> None:
    world = World(make_network(7), latency_ms=150)
    world.run_rounds(4)
    assert len(world.get_rows()) == 4
    assert [len(node.asked) for node in world.nodes] == [0] * 7


def test_what_gossip_brings_a_little_after_a_heartbeat_has_named_it_is_not_asked_for() -> None:
    pairs = tuple(PairTerms(f"P{number:03}-USD", 2, 1, 10**12) for number in range(10))
    network = make_network(4, interval=60, pairs=pairs)
    world = World(network, alive=[0], price=lambda member, unix_s: None)
    for number, terms in enumerate(pairs, start=1):
        entry = network.entry(network.report(0, 1_000, 1, pair=terms.pair), (1,))
        open_ = encode_open([(network.compute_id(entry.report), 0b10)])
        beat = make_heartbeat(network, 1, boot=2**50, sequence=number, open_=open_)
        world.run_until(START + number)
        world.send(1, pack(heartbeats=[beat]))
        world.run_until(START + number + 0.4)
        world.send(1, pack(entry))
    world.run_until(START + 20)
    assert world.nodes[0].asked == []


@pytest.mark.parametrize("takes_back", [False, True])
def test_what_a_newer_heartbeat_does_not_name_any_more_is_not_asked_for(takes_back: bool) -> None:
    """However often the older one comes again."""
    network = make_network(4, interval=60)
    world = World(network, alive=[0], price=lambda member, unix_s: None)
    world.run_until(START + 1)
    open_ = encode_open([(b"i" * 32, 0b10)])
    older = make_heartbeat(network, 1, boot=2**50, sequence=1, open_=open_)
    newer = make_heartbeat(network, 1, boot=2**50, sequence=2)
    for beat in (older, newer, older) if takes_back else (older,):
        world.send(1, pack(heartbeats=[beat]))
        world.run_until_ms(world.true_ms + 100)
    world.run_until(START + 20)
    assert (world.nodes[0].asked == []) is takes_back


def test_peers_that_were_out_of_reach_are_asked_as_soon_as_they_are_not() -> None:
    network = make_network(3, minimum_signers=3, interval=180, fallback_delay=170)
    ranked = get_ranked(network, 0)
    world = World(network)
    world.drops = lose(ranked, LOSSES["all to all"])
    isolate(world)
    world.run_until(START + 100)
    world.connected = lambda asker, asked: True
    world.run_until(START + 110)
    # The first's proposal, with one more signature, is at every member.
    for rank in ranked:
        assert world.nodes[rank].get_notes(NoteKind.HEALED) or rank == ranked[0]


def test_each_asks_for_what_it_lacks_about_once() -> None:
    network = make_network(10, interval=60, fallback_delay=50)
    world = World(network)
    # Nobody hears anybody's report or signature: the worst there is.
    world.drops = lambda sender, receiver, data: carries_entries(data)
    world.run_until(START + 59)
    assert [count_proofs(node, START) for node in world.nodes] == [10] * 10
    for node in world.nodes:
        # One signature at a time becomes known; ten of them can be had with fewer questions.
        assert len(node.asked) <= 12


def test_publications_of_an_id_stay_within_the_members() -> None:
    network = make_network(5, interval=30, fallback_delay=20)
    world = World(network)
    turn = [0]

    def drops(sender: int, receiver: int, data: bytes) -> bool:
        turn[0] += 1
        return turn[0] % 3 == 0

    world.drops = drops
    world.run_rounds(4)
    assert len(world.get_rows()) == 4
    assert max(world.count_publications().values()) <= 5
    assert any(node.get_notes(NoteKind.HEALED) for node in world.nodes)


def test_a_node_that_leaves_still_answers_and_asks_nobody() -> None:
    network = make_trio()
    ranked = get_ranked(network, 0)
    world = World(network)
    world.drops = lose(ranked, LOSSES["the second to both, the third to it"])
    world.run_until(START + 0.9)
    world.close(ranked[1])
    world.run_until(START + 5)
    leaver = world.nodes[ranked[1]]
    assert leaver.asked == []
    entry = network.entry(network.report(0, proposer=ranked[0]), (ranked[0],))
    answers = leaver.turns.take(
        [ev.Asked("peer", 1, encode_question(Want((network.compute_id(entry.report),))))],
        world.now(leaver),
    )
    assert any(isinstance(effect, ev.Answer) and effect.data for effect in answers)


# --- how often the heartbeats come that healing goes by ----------------------------------------


def count_beats(world: World, begin_s: float, end_s: float) -> list[int]:
    """Return how many heartbeats each member that lives has sent from then to then."""
    counts = []
    world.run_until(begin_s)
    before = [len(node.published) for node in world.nodes]
    world.run_until(end_s)
    for node, first in zip(world.nodes, before, strict=True):
        if node.alive:
            counts.append(sum(len(decode(data).heartbeats) for data in node.published[first:]))
    return counts


def test_once_all_have_signed_one_more_heartbeat_says_so_and_then_they_are_seldom() -> None:
    world = World(make_network(4, interval=600))
    assert count_beats(world, START + 601, START + 611) == [1] * 4
    assert sum(count_beats(world, START + 611, START + 631)) <= 4


def test_who_has_beaten_for_a_price_beats_again_when_the_last_member_has_signed_it() -> None:
    network = make_network(4, interval=600)
    first, *_, last = get_ranked(network, 1)
    world = World(network)
    world.run_until(START + 590)
    signed_s = START + 607
    world.fetch_ms_by_member[last] = 6_000
    world.run_until(signed_s)
    assert count_signers(world.nodes[first]) == 4
    assert min(count_beats(world, signed_s, signed_s + HEARTBEAT_MS // 1000)) == 1
    assert sum(count_beats(world, signed_s + HEARTBEAT_MS // 1000, signed_s + 25)) <= 4


def test_who_was_removed_lacks_nothing_of_the_epoch_after_its_own() -> None:
    """Its heartbeats name less, for it may hear nobody any more: nobody beats for that."""
    network = make_network(4, interval=600)
    following = network.follow(start_index=2, members=3)
    (removed,) = (
        index
        for index, address in enumerate(network.document.addresses)
        if address not in following.document.index_by_address
    )
    world = World(network, chain=EpochChain([network.document, following.document]))
    begin_s = following.document.start + 11
    world.run_until(begin_s)
    world.kill(removed)
    before = [len(node.published) for node in world.nodes]
    for number in range(20):
        beat = make_heartbeat(network, removed, sequence=number + 1, boot=2**50)
        world.send(removed, pack(heartbeats=[beat]))
        world.run_until(begin_s + number / 2)
    sent = [len(node.published) - first for node, first in zip(world.nodes, before, strict=True)]
    assert sum(sent) <= 2
    for node in world.nodes:
        if node.index != removed:
            assert not node.get_notes(NoteKind.IGNORED)


def test_who_has_more_open_than_a_heartbeat_names_lacks_nothing_that_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merging, "OPEN_IDS_MAX", 3)
    world = World(make_network(4, interval=600, mode="EveryNode"))
    assert sum(count_beats(world, START + 612, START + 628)) <= 2


def test_while_a_signature_may_still_come_they_are_often() -> None:
    network = make_network(4, interval=600)
    last = get_ranked(network, 0)[3]
    world = World(network, alive=[index for index in range(4) if index != last])
    assert min(count_beats(world, START + 611, START + 631)) >= 4


def count_signers(node: Node) -> int:
    """Return how many signers of one report this life of the node has seen, at most."""
    return max((note.count for note in node.get_notes(NoteKind.COSIGNED)), default=0)


def test_one_that_says_all_the_time_that_it_lacks_all_makes_nobody_beat_more_than_often() -> None:
    network = make_network(4, interval=600)
    liar = get_ranked(network, 0)[3]
    world = World(network)
    world.run_until(START + 611)
    before = [len(node.published) for node in world.nodes]
    for number in range(40):
        beat = make_heartbeat(network, liar, boot=2**50, sequence=number + 1)
        world.send(liar, pack(heartbeats=[beat]))
        world.run_until(START + 611 + number / 2)
    sent = [
        sum(len(decode(data).heartbeats) for data in node.published[first:])
        for node, first in zip(world.nodes, before, strict=True)
        if node.index != liar
    ]
    assert min(sent) >= 2
    assert max(sent) <= 20_000 // HEARTBEAT_MS


@pytest.mark.parametrize("loses_all", [False, True])
def test_who_comes_back_after_all_others_have_signed_has_all_before_it_settles(
    *, loses_all: bool
) -> None:
    """Their heartbeats have become seldom: its own shows what it lacks, and they answer."""
    network = make_network(4, interval=600)
    last = get_ranked(network, 0)[3]
    world = World(network)
    cut = True

    def drops(sender: int, receiver: int, data: bytes) -> bool:
        # It has heard the proposal and signed it; nothing but that has reached it.
        entries = decode(data).entries
        is_proposal = bool(entries) and len(entries[0].signatures) == 1
        return cut and receiver == last and not is_proposal

    world.drops = drops
    world.run_until(START + 14)
    assert [count_signers(node) for node in world.nodes if node.index != last] == [4] * 3
    assert count_signers(world.nodes[last]) == 2
    cut = False
    if loses_all:
        world.kill(last)
        world.restart(last)
    world.run_until(START + 28)
    assert count_signers(world.nodes[last]) == 4


# --- liars ----------------------------------------------------------------------------------


def promise(network: SampleNetwork, liar: int, sequence: int, ids: Sequence[bytes]) -> bytes:
    """A heartbeat in the liar's name that names these ids as signed by everybody."""
    everybody = (1 << len(network.signing_secrets)) - 1
    open_ = encode_open((id_, everybody) for id_ in ids)
    beat = make_heartbeat(network, liar, boot=2**50, sequence=sequence, open_=open_)
    return pack(heartbeats=[beat])


def make_ids(number: int) -> list[bytes]:
    return [crypto.keccak256(f"{number} {place}".encode()) for place in range(OPEN_IDS_MAX)]


def run_liar(world: World, network: SampleNetwork, liar: int, seconds: int) -> Node:
    """Let a member name new ids that there are not, each second; return one who hears it."""
    for second in range(seconds):
        world.send(liar, promise(network, liar, second + 1, make_ids(second)))
        world.run_until(START + second + 1)
    return next(node for node in world.nodes if node.index != liar)


def test_who_names_what_it_cannot_give_is_asked_ever_more_seldom() -> None:
    network = make_network(4, interval=600)
    liar = get_ranked(network, 0)[3]
    world = World(network)
    world.run_until(START)
    victim = run_liar(world, network, liar, 600)
    questions = [peer for peer, _ in victim.asked if peer == world.nodes[liar].peer_id]
    # 5 s, 10 s, 20 s … 300 s between them, where it made a promise each second.
    assert 4 <= len(questions) <= 9
    assert all(len(data) <= QUESTION_BYTES_MAX for _, data in victim.asked)
    assert not victim.penalized


def test_a_silent_liar_does_not_keep_others_from_giving() -> None:
    network = make_trio()
    ranked = get_ranked(network, 0)
    liar = ranked[1]
    world = World(network)
    world.drops = lambda sender, receiver, data: (
        ((sender, receiver) == (ranked[0], ranked[2]) or (sender, receiver) == (liar, ranked[2]))
        and carries_entries(data)
    )
    world.answers = lambda asked, asker, data: None if asked == liar else data
    world.run_until(START + 29)
    assert [count_proofs(world.nodes[rank], START) for rank in ranked] == [3, 3, 3]
    reasons = world.nodes[ranked[2]].get_reasons(NoteKind.UNANSWERED)
    assert set(reasons) <= {"timeout"}


def give_forged(network: SampleNetwork, data: bytes) -> bytes:
    """What was asked for, with one signature that is another's."""
    entries = decode_answer(data).entries
    if not entries:
        return data
    first = entries[0].signatures[0]
    forged = tuple(
        signature
        if signature.member == first.member
        else type(first)(signature.member, first.signature)
        for signature in entries[0].signatures
    )
    return encode_answer([Entry(entries[0].report, forged), *entries[1:]])


ANSWERS_OF_LIARS: dict[str, tuple[Callable[[SampleNetwork, bytes], bytes], str]] = {
    "garbage": (lambda network, data: b"\xc1 no answer", "malformed"),
    "another kind": (lambda network, data: pack(), "malformed"),
    "what was not asked for": (
        lambda network, data: encode_answer([network.entry(network.report(3), (0, 1, 2))]),
        "unasked",
    ),
    "the same twice": (
        lambda network, data: encode_answer([*decode_answer(data).entries] * 2),
        "unasked",
    ),
    "a forged signature": (give_forged, "bad_signature"),
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS_OF_LIARS.values(), ids=ANSWERS_OF_LIARS)
def test_who_answers_with_what_is_provably_false_is_cut_off(
    answer: Callable[[SampleNetwork, bytes], bytes], reason: str
) -> None:
    network = make_trio()
    ranked = get_ranked(network, 0)
    world = World(network)
    world.drops = lose(ranked, {(0, 2), (1, 2)})
    liar = world.nodes[ranked[1]]
    world.connected = lambda asker, asked: asked == liar.index
    world.answers = lambda asked, asker, data: answer(network, data)
    world.run_until(START + 12)
    victim = world.nodes[ranked[2]]
    assert victim.penalized[0] == (liar.peer_id, reason)
    assert not any(node.penalized for node in world.nodes if node is not victim)


def test_who_announces_an_endless_answer_is_cut_off() -> None:
    network = make_trio()
    ranked = get_ranked(network, 0)
    world = World(network)
    world.drops = lose(ranked, {(0, 2), (1, 2)})
    victim = world.nodes[ranked[2]]
    world.answers = lambda asked, asker, data: world.give(
        asker, ev.AskFailed(world.nodes[asked].peer_id, "too_large")
    )
    world.run_until(START + 12)
    (peer, _), *_ = victim.asked
    assert victim.penalized[0] == (peer, "too_large")


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    network = make_network(4)
    world = World(network, alive=[0])
    world.run_until(START + 1)
    entry = network.entry(network.report(0, proposer=1), (1, 2, 3))
    world.give(0, ev.Answered(world.nodes[1].peer_id, encode_answer([entry])))
    world.give(0, ev.AskFailed(world.nodes[1].peer_id, "too_large"))
    world.run_until(START + 2)
    assert not world.nodes[0].penalized
    assert not world.nodes[0].journal.proven


def test_questions_of_one_peer_are_answered_up_to_a_rate() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 2)
    node = world.nodes[0]
    question = encode_question(Want((bytes(32),)))

    def count(peer: str) -> int:
        asked = [ev.Asked(peer, token, question) for token in range(ANSWERS_A_SECOND + 5)]
        outward = node.turns.take(asked, world.now(node))
        answers = [effect for effect in outward if isinstance(effect, ev.Answer)]
        assert len(answers) == len(asked)
        return sum(bool(effect.data) for effect in answers)

    assert count("one") == ANSWERS_A_SECOND
    assert count("one") == 0
    assert count("another") == ANSWERS_A_SECOND
    world.run_until(START + 3)
    assert count("one") == ANSWERS_A_SECOND


@pytest.mark.parametrize("data", [b"", b"\xc1", pack(), bytes(QUESTION_BYTES_MAX + 1)])
def test_a_question_that_is_none_is_refused_and_held_against_who_asked(data: bytes) -> None:
    world = World(make_network(4))
    world.run_until(START + 2)
    node = world.nodes[0]
    outward = node.turns.take([ev.Asked("peer", 7, data)], world.now(node))
    assert ev.Answer(7, b"") in outward
    assert [effect.author for effect in outward if isinstance(effect, ev.Penalize)] == ["peer"]


@pytest.mark.parametrize("open_", [b"x", bytes(33), b"i" * 32 + b"\1\0", (b"i" * 32 + b"\1\1") * 2])
def test_a_heartbeat_whose_open_ids_are_none_is_held_against_its_author(open_: bytes) -> None:
    network = make_network(4)
    world = World(network, alive=[0])
    world.run_until(START + 1)
    world.send(2, pack(heartbeats=[make_heartbeat(network, 2, open_=open_)]))
    world.run_until(START + 2)
    assert world.nodes[0].penalized == [(world.nodes[2].peer_id, "malformed")]


# --- bounds ---------------------------------------------------------------------------------


def test_more_open_ids_than_a_heartbeat_takes_are_named_in_turn() -> None:
    pairs = tuple(PairTerms(f"P{number:03}-USD", 2, 1, 10**12) for number in range(60))
    network = make_network(7, interval=600, pairs=pairs, mode="EveryNode")
    world = World(network, alive=[0], price=lambda member, unix_s: None)
    world.run_until(START + 1)
    for terms in pairs:
        reports = [network.report(0, 1_000, who, pair=terms.pair) for who in range(1, 7)]
        entries = [network.entry(report, (who,)) for who, report in enumerate(reports, start=1)]
        world.send(1, pack(*entries))
    world.run_until(START + 20)
    node = world.nodes[0]
    beats = [decode(data).heartbeats for data in node.published]
    named = [decode_open(beat.open) for (beat,) in beats[-3:]]
    assert [len(open_) for open_ in named] == [OPEN_IDS_MAX] * 3
    assert len(set().union(*named)) == 360
    assert max(map(len, node.published)) < MESSAGE_BYTES_MAX


def test_what_one_question_does_not_hold_is_asked_for_in_the_next() -> None:
    pairs = tuple(PairTerms(f"P{number:03}-USD", 2, 1, 10**12) for number in range(50))
    network = make_network(4, interval=600, pairs=pairs, mode="EveryNode")
    world = World(network, price=lambda member, unix_s: 10 * 10**8)
    world.drops = lambda sender, receiver, data: receiver == 3 and carries_entries(data)
    world.run_until(START + 50)
    node = world.nodes[3]
    assert count_proofs(node, START) == 50 * 4 * 4
    questions = get_questions(node)
    assert max(len(ids) for _, ids in questions) == ASK_IDS_MAX
    assert len(questions) == 4
