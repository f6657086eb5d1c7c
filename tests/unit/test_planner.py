"""The path from one epoch to another: every one to 12 members, and the words for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
import pytest

from gossip_price.network.document import (
    Document,
    DocumentError,
    Mode,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.epochs import EpochChain
from gossip_price.network.overlap import Quorum
from gossip_price.network.planner import PlanError, make_next, plan_next, plan_path, plan_steps
from networks import START, SampleNetwork, make_network

NOW = START + 1_000


def roster(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"{number:03}" for number in range(first, first + count))


def quorum(
    members: frozenset[str], signers: int | None = None, faulty: int | None = None
) -> Quorum:
    faulty = compute_faulty_default(len(members)) if faulty is None else faulty
    least = compute_minimum_signers(Mode.ROUNDS, len(members), faulty)
    return Quorum(members, signers or min(least, len(members)), faulty, Mode.ROUNDS)


def show(path: Iterable[Quorum]) -> list[tuple[int, int]]:
    return [(len(step.members), step.minimum_signers) for step in path]


def assert_safe(before: Quorum, path: tuple[Quorum, ...]) -> None:
    """Check a path by the words of the design, not by the planner's own rule."""
    for old, new in pairwise((before, *path)):
        shared = old.minimum_signers + new.minimum_signers - len(old.members | new.members)
        assert shared > max(old.faulty, new.faulty) or {old.mode, new.mode} == {Mode.EVERY_NODE}
    for step in path:
        assert 1 <= step.minimum_signers <= len(step.members)
        if step.mode is Mode.ROUNDS:
            assert 2 * step.minimum_signers > len(step.members) + step.faulty
    for step in path[:-1]:
        assert (
            before.members & path[-1].members <= step.members <= before.members | path[-1].members
        )


def assert_live(before: Quorum, path: tuple[Quorum, ...]) -> None:
    """Check that no epoch between stops for members that either end could lose."""
    spared = min(len(end.members) - end.minimum_signers for end in (before, path[-1]))
    for step in path[:-1]:
        assert len(step.members) - step.minimum_signers >= max(step.faulty, min(1, spared))


def list_quorums(members: frozenset[str]) -> Iterator[Quorum]:
    """Yield every threshold and f that a document of these members could hold, to f = N/3."""
    for faulty in range(compute_faulty_default(len(members)) + 1):
        for signers in range((len(members) + faulty) // 2 + 1, len(members) - faulty + 1):
            yield Quorum(members, signers, faulty, Mode.ROUNDS)


def list_steps(count: int) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield every change of a roster by one or two: add, remove, swap, and all of them mixed."""
    before = roster(count)
    for removed in range(min(2, count - 1) + 1):
        for added in range(3):
            yield before, roster(count - removed + added, first=removed)


@pytest.mark.parametrize("count", range(1, 13))
def test_a_safe_path_exists_for_every_step_by_one_or_two(count: int) -> None:
    for members, changed in list_steps(count):
        for before in list_quorums(members):
            for wanted in list_quorums(changed):
                path = plan_path(before, wanted)
                assert path[-1] == wanted
                assert_safe(before, path)


@pytest.mark.parametrize("count", range(3, 13))
def test_no_shorter_path_exists(count: int) -> None:
    """Against a search by brute force over all thresholds, rosters and f between."""
    for members, changed in list_steps(count):
        before, wanted = quorum(members), quorum(changed)
        path = plan_path(before, wanted)
        assert_live(before, path)
        assert len(path) == count_fewest(before, wanted), (before, wanted)


def count_fewest(before: Quorum, wanted: Quorum) -> int:
    added, removed = (
        sorted(wanted.members - before.members),
        sorted(before.members - wanted.members),
    )
    between = [
        step
        for come in range(len(added) + 1)
        for gone in range(len(removed) + 1)
        for step in list_quorums((before.members - set(removed[:gone])) | set(added[:come]))
        if min(before.faulty, wanted.faulty) <= step.faulty <= max(before.faulty, wanted.faulty)
    ]

    def overlaps(old: Quorum, new: Quorum) -> bool:
        shared = old.minimum_signers + new.minimum_signers - len(old.members | new.members)
        return shared > max(old.faulty, new.faulty)

    reached, steps = {before}, 1
    while not any(overlaps(here, wanted) for here in reached):
        reached = {step for step in between if any(overlaps(here, step) for here in reached)}
        steps += 1
    return steps


CASES: dict[str, tuple[Quorum, Quorum, list[tuple[int, int]]]] = {
    "one more": (quorum(roster(4)), quorum(roster(5)), [(5, 4)]),
    "two more go one by one": (quorum(roster(4)), quorum(roster(6)), [(5, 4), (6, 4)]),
    "a key rotated at 4 goes by 5": (
        quorum(roster(4)),
        quorum(roster(4, first=1)),
        [(5, 4), (4, 3)],
    ),
    "6 to 7 goes by 6 with 5 signers": (quorum(roster(6)), quorum(roster(7)), [(6, 5), (7, 5)]),
    "9 to 10 goes by 9 with 7 signers": (quorum(roster(9)), quorum(roster(10)), [(9, 7), (10, 7)]),
    "7 to 6 goes the same way back": (quorum(roster(7)), quorum(roster(6)), [(6, 5), (6, 4)]),
    "the same again is one epoch": (quorum(roster(4)), quorum(roster(4)), [(4, 3)]),
    "4 to 10 takes several": (
        quorum(roster(4)),
        quorum(roster(10)),
        [(6, 5), (9, 7), (10, 7)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_path_of_a_change(case: str) -> None:
    before, wanted, expected = CASES[case]
    path = plan_path(before, wanted)
    assert show(path) == expected
    assert_safe(before, path)


@pytest.mark.parametrize(("count", "grown"), [(4, 40), (40, 4), (30, 60)])
def test_a_large_change_is_planned_in_portions(count: int, grown: int) -> None:
    before, wanted = quorum(roster(count)), quorum(roster(grown))
    path = plan_path(before, wanted)
    assert path[-1] == wanted
    assert_safe(before, path)


@pytest.mark.parametrize("count", [4, 7, 10])
def test_a_mode_is_changed_where_both_epochs_share_enough(count: int) -> None:
    rounds = quorum(roster(count))
    every = msgspec.structs.replace(rounds, mode=Mode.EVERY_NODE, minimum_signers=3)
    for before, wanted in ((rounds, every), (every, rounds)):
        path = plan_path(before, wanted)
        assert path[-1] == wanted
        assert_safe(before, path)


def test_every_node_needs_no_path() -> None:
    before = Quorum(roster(4), 3, 1, Mode.EVERY_NODE)
    wanted = Quorum(roster(12, first=2), 3, 3, Mode.EVERY_NODE)
    assert plan_path(before, wanted) == (wanted,)


def test_the_least_safe_threshold_of_all_leads_nowhere_and_says_so() -> None:
    every_one = Quorum(roster(4), 4, 0, Mode.ROUNDS)
    stranger = Quorum(roster(1, first=50), 1, 0, Mode.ROUNDS)
    path = plan_path(every_one, stranger)
    assert_safe(every_one, path)
    with pytest.raises(PlanError, match="no safe path of epochs leads from 4 members"):
        plan_path(Quorum(roster(4), 2, 1, Mode.ROUNDS), Quorum(roster(4), 2, 3, Mode.ROUNDS))


# --- documents ------------------------------------------------------------------------------


def want(network: SampleNetwork, **fields: object) -> Document:
    return msgspec.structs.replace(network.document, **fields)


FOUR = make_network(4, interval=15)
SIX = make_network(6, interval=15, network_id=FOUR.document.network_id)


def test_the_next_document_follows_in_the_chain_until_what_is_wanted_is_reached() -> None:
    chain, now_s = EpochChain([FOUR.document]), NOW
    while (plan := plan_next(chain.newest, SIX.document, is_proven=True, now_s=now_s)).document:
        assert plan.document.start >= now_s + 180
        chain = EpochChain([*chain.documents, plan.document])
        now_s = plan.document.start + 15
    assert plan.reason == "epoch 3 is as wanted"
    assert [len(document.members) for document in chain.documents] == [4, 5, 6]
    assert chain.newest.members == SIX.document.members


def test_an_epoch_is_followed_only_once_a_round_was_proven_in_it() -> None:
    announced = plan_next(FOUR.document, SIX.document, is_proven=True, now_s=NOW).document
    assert announced is not None
    plan = plan_next(announced, SIX.document, is_proven=False, now_s=NOW)
    assert (plan.document, len(plan.steps)) == (None, 1)
    starts_in = announced.start - NOW
    said = f"epoch 2 starts in {starts_in} s, and is followed once a round was proven in it"
    assert plan.reason == said
    plan = plan_next(announced, SIX.document, is_proven=False, now_s=announced.start)
    assert (plan.document, plan.reason) == (None, "no round was proven in epoch 2 yet")
    # Not even what somebody claims to be proven lets an epoch be left before it began.
    plan = plan_next(announced, SIX.document, is_proven=True, now_s=NOW)
    assert plan.document is None


@pytest.mark.parametrize(("interval", "wanted"), [(15, 600), (600, 15), (10, 15), (7, 60)])
def test_a_new_interval_starts_with_a_round_of_both(interval: int, wanted: int) -> None:
    document = make_network(4, interval=interval, start=0).document
    plan = plan_next(
        document,
        msgspec.structs.replace(document, interval=wanted, skew=9),
        is_proven=True,
        now_s=NOW,
    )
    assert plan.document is not None
    assert plan.document.start % interval == plan.document.start % wanted == 0
    assert NOW + 180 <= plan.document.start < NOW + 180 + interval * wanted
    assert EpochChain([document, plan.document]).newest.skew == 9


def test_epochs_between_keep_the_other_terms_and_the_last_is_as_wanted() -> None:
    steps = plan_steps(FOUR.document, msgspec.structs.replace(SIX.document, interval=60))
    assert [step.interval for step in steps] == [15, 60]


def test_another_lead_time_may_be_asked_for() -> None:
    document = make_next(FOUR.document, FOUR.document, now_s=START + 20, lead_s=5)
    assert document.start == START + 30
    assert make_next(FOUR.document, FOUR.document, now_s=0, lead_s=0).start == START + 15


def test_two_members_of_one_peer_id_never_stand_in_one_epoch() -> None:
    other = make_network(1, seed="other").document.members[0]
    first, *rest = FOUR.document.members
    rotated = msgspec.structs.replace(other, peer_id=first.peer_id)
    members = tuple(sorted([*rest, rotated], key=lambda member: member.address.lower()))
    with pytest.raises(PlanError, match="give the new member an identity key of its own"):
        plan_steps(FOUR.document, want(FOUR, members=members))


def test_another_network_is_not_wanted() -> None:
    other = make_network(4, seed="other").document
    with pytest.raises(DocumentError, match="a network keeps its id for good"):
        plan_next(FOUR.document, other, is_proven=True, now_s=NOW)
