"""Clocks that are wrong, step, or were set back while nobody looked."""

from __future__ import annotations

import pytest

from crafted import get_ranked, pack
from gossip_price.core.events import NoteKind
from gossip_price.core.rounds import is_over, is_too_early
from gossip_price.core.types import Now
from networks import START, make_network
from world import PRICE, World

NETWORK = make_network(4)


@pytest.mark.parametrize("step_s", [-3600, -20, 20, 3600])
def test_a_clock_step_neither_settles_early_nor_late(step_s: int) -> None:
    world = World(NETWORK)
    world.run_until(START + 10)
    node = world.nodes[2]
    node.clock_error_ms = step_s * 1000
    world.run_until(START + 29)
    assert not [note for note in node.get_notes(NoteKind.SETTLED) if note.round == START]
    world.run_until(START + 35)
    (settled,) = [note for note in node.get_notes(NoteKind.SETTLED) if note.round == START]
    assert 30_000 <= settled.ms < 30_100
    assert [note.ms for note in node.get_notes(NoteKind.CLOCK_STEPPED)] == [step_s * 1000]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("back_s", [15, 16, 40, 3600])
def test_a_clock_set_back_reopens_no_round(back_s: int, restart: bool) -> None:
    world = World(NETWORK)
    world.run_until(START + 62)
    node = world.nodes[2]
    votes = dict(node.journal.votes)
    node.clock_error_ms = -back_s * 1000
    if restart:
        world.kill(2)
        world.restart(2)
    # A proposer tries a second report for each round that lies in the past.
    for index in range(5):
        first = get_ranked(NETWORK, index)[0]
        if first != 2:
            report = NETWORK.report(index, PRICE + 1, first)
            world.send(first, pack(NETWORK.entry(report, (first,))))
    world.run_until(START + 120)
    assert {key: votes[key] for key in votes} == {key: node.journal.votes[key] for key in votes}
    reopened = [
        vote.report.round
        for key, vote in node.journal.votes.items()
        if key not in votes and vote.report.round < START + 60
    ]
    assert reopened == []
    for other in world.nodes:
        assert other.penalized == []


@pytest.mark.parametrize(("back_s", "reason"), [(0, "closed_round"), (38, "closed_round")])
def test_a_round_in_which_we_signed_nothing_is_not_signed_when_the_clock_comes_back(
    back_s: int, reason: str
) -> None:
    first, *_, late = get_ranked(NETWORK, 0)
    # Started within the round, it observed and proposed nothing: its vote is still free.
    world = World(NETWORK, start_s=START + 5, alive=[late])
    world.run_until(START + 40)
    node = world.nodes[late]
    node.clock_error_ms = -back_s * 1000
    report = NETWORK.report(0, PRICE, first)
    others = [member for member in range(4) if member not in (first, late)]
    world.send(first, pack(NETWORK.entry(report, (first, *others))))
    world.run_until(START + 41)
    assert node.get_notes(NoteKind.PROVEN)
    assert START not in {vote.report.round for vote in node.journal.votes.values()}
    (withheld,) = [note for note in node.get_notes(NoteKind.WITHHELD) if note.round == START]
    assert withheld.reason == reason


def test_a_clock_that_is_behind_what_the_journal_saw_is_named() -> None:
    world = World(NETWORK)
    world.run_until(START + 62)
    machine = world.nodes[0].turns.machine
    assert machine.find_clock_problem(Now((START + 62) * 1000, 0)) is None
    problem = machine.find_clock_problem(Now((START - 40) * 1000, 0))
    assert problem is not None
    assert "100 s behind" in problem


def test_after_a_step_far_ahead_and_back_nothing_is_signed_until_it_is_past() -> None:
    world = World(NETWORK)
    world.run_until(START + 20)
    node = world.nodes[2]
    node.clock_error_ms = 60_000
    world.run_until(START + 29)
    node.clock_error_ms = 0
    highest = node.journal.highest
    assert highest >= START + 75
    signed = len(node.signer.signed)
    votes = len(node.journal.votes)
    world.run_until(highest - 1)
    assert len(node.journal.votes) == votes
    assert len(node.signer.signed) > signed  # heartbeats go on
    world.run_until(highest + 40)
    assert len(node.journal.votes) > votes
    assert all(other.penalized == [] for other in world.nodes)


def test_a_clock_set_back_over_a_restart_does_not_make_its_heartbeats_replays() -> None:
    world = World(NETWORK)
    world.run_until(START + 62)
    world.nodes[2].clock_error_ms = -7_200_000
    world.kill(2)
    world.restart(2)
    # What it said before is too old by then.
    world.run_until(START + 300)
    assert 2 in world.get_writers_known_to(0)


@pytest.mark.parametrize("error_s", [-4, 4])
def test_a_clock_wrong_within_the_skew_takes_part(error_s: int) -> None:
    world = World(NETWORK, clock_errors_ms=(0, 0, error_s * 1000, 0))
    world.run_until(START + 100)
    node = world.nodes[2]
    assert len(node.get_notes(NoteKind.SIGNED)) + len(node.get_notes(NoteKind.PROPOSED)) >= 5
    assert len(world.get_rows()) >= 4


def test_a_round_may_be_signed_from_a_skew_before_it_until_a_skew_after_it() -> None:
    document = NETWORK.document
    first_ms = (START - document.skew) * 1000
    end_ms = (START + document.interval + document.skew) * 1000
    moments = (first_ms - 1, first_ms, end_ms - 1, end_ms)
    early = [is_too_early(document, START, Now(moment, 0)) for moment in moments]
    over = [is_over(document, START, Now(moment, 0)) for moment in moments]
    assert early == [True, False, False, False]
    assert over == [False, False, False, True]


@pytest.mark.parametrize(
    ("heard_s", "back_s", "signs"),
    [(17, 0, True), (21, 0, False), (21, 7, False), (26, 12, False), (26, 26, False)],
)
def test_the_round_before_is_signed_within_the_skew_however_the_clock_is_set_back(
    heard_s: int, back_s: int, signs: bool
) -> None:
    """The time since the round was left is counted on the clock that never steps."""
    first, *_, late = get_ranked(NETWORK, 0)
    # Started within the round, it observes in time and proposes nothing: its vote is free.
    world = World(NETWORK, start_s=START + 5, alive=[late])
    world.run_until(START + heard_s)
    node = world.nodes[late]
    votes = {vote.report.round for vote in node.journal.votes.values()}
    assert START not in votes
    node.clock_error_ms = -back_s * 1000
    world.send(first, pack(NETWORK.entry(NETWORK.report(0, PRICE, first), (first,))))
    world.run_until(START + heard_s + 1)
    votes = {vote.report.round for vote in node.journal.votes.values()}
    assert (START in votes) == signs


def test_what_a_clock_set_back_has_made_early_is_signed_when_its_time_comes() -> None:
    _, second, *_, last = get_ranked(NETWORK, 1)
    world = World(NETWORK, alive=[last])
    node = world.nodes[last]
    world.run_until(START + 15.8)
    world.send(second, pack(NETWORK.entry(NETWORK.report(1, PRICE, second), (second,))))
    world.run_until(START + 16)
    # Eight seconds before the round begins: more than the skew allows.
    node.clock_error_ms = -9_000
    second_s = NETWORK.round(1) + NETWORK.document.fallback_delay + 9
    world.run_until(second_s - 0.1)
    assert NETWORK.round(1) not in {vote.report.round for vote in node.journal.votes.values()}
    world.run_until(second_s + 0.1)
    assert NETWORK.round(1) in {vote.report.round for vote in node.journal.votes.values()}
