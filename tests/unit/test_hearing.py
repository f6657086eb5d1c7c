"""Who hears whom: what several members' words make of it, case by case."""

from __future__ import annotations

import msgspec
import pytest

from gossip_price.core.hearing import (
    MemberPresence,
    State,
    compute_clock_offsets_ms,
    compute_state,
    find_deaf,
    find_isolated,
    make_matrix,
)
from gossip_price.core.limits import HEARTBEAT_MISSED, HEARTBEAT_MISSED_LATE
from gossip_price.core.types import Now

HEARD_JUST_SO = HEARTBEAT_MISSED
#: Not heard, and all have had the time to say so.
NOT_HEARD = HEARTBEAT_MISSED + HEARTBEAT_MISSED_LATE + 1
SILENT, NEVER = HEARTBEAT_MISSED + 1, None


def make(
    index: int, says: str, *, missed: int | None = 0, clock_ms: int = 0, wall_ms: int = 0
) -> MemberPresence:
    """A member whose word on each other one is a letter: h(eard), n(ot heard), - (nothing)."""
    others = {bytes([other]): letter for other, letter in enumerate(says) if letter != "-"}
    return MemberPresence(
        bytes([index]),
        is_me=index == 0,
        missed=missed or 0,
        steady=100,
        received=None if missed is None else Now(wall_ms, 0),
        clock_ms=clock_ms,
        heard=dict.fromkeys(others, index * 10),
        unheard={
            member: HEARD_JUST_SO if letter == "h" else NOT_HEARD
            for member, letter in others.items()
        },
    )


def make_all(*words: str, missed: dict[int, int | None] | None = None) -> list[MemberPresence]:
    gone = missed or {}
    return [make(index, says, missed=gone.get(index, 0)) for index, says in enumerate(words)]


@pytest.mark.parametrize(
    ("missed", "state"),
    [
        (None, State.NEVER),
        (0, State.ALIVE),
        (HEARTBEAT_MISSED_LATE, State.ALIVE),
        (HEARTBEAT_MISSED_LATE + 1, State.LATE),
        (HEARTBEAT_MISSED, State.LATE),
        (HEARTBEAT_MISSED + 1, State.SILENT),
    ],
)
def test_a_member_is_what_its_missed_beats_make_it(missed: int | None, state: State) -> None:
    assert compute_state(make(1, "", missed=missed)) is state


#: What each member says of the others; who is silent; who is isolated then; who is deaf to whom.
CASES: dict[str, tuple[tuple[str, ...], dict[int, int | None], list[int], dict[int, list[int]]]] = {
    "all hear all": (("-hhh", "h-hh", "hh-h", "hhh-"), {}, [], {}),
    "one is stopped": (("-hhn", "h-hn", "hh-n", "----"), {3: SILENT}, [3], {}),
    "one never came": (("-hhn", "h-hn", "hh-n", "----"), {3: NEVER}, [3], {}),
    "one is cut off and tells of it by another way": (
        ("-hhn", "h-hn", "hh-n", "nnn-"), {}, [3], {3: [0, 1, 2]},
    ),
    "one hears nobody but is heard": (("-hhh", "h-hh", "hh-h", "nnn-"), {}, [], {3: [0, 1, 2]}),
    "one does not hear one that the others hear": (
        ("-hhh", "h-hh", "hh-h", "hnh-"), {}, [], {3: [1]},
    ),
    "one says that it does not hear": (("-hhh", "h-hh", "hh-n", "hhh-"), {}, [], {2: [3]}),
    "one says that it hears the stopped one, and lies": (
        ("-hhn", "h-hn", "hh-h", "----"), {3: SILENT}, [3], {},
    ),
    "two are stopped, and the two others agree": (
        ("-hnn", "h-nn", "----", "----"), {2: SILENT, 3: SILENT}, [2, 3], {},
    ),
    "two are left and don't agree: it is heard": (
        ("-hnn", "h-hn", "----", "----"), {2: SILENT, 3: SILENT}, [3], {},
    ),
    "we are alone: nobody else can be asked": (
        ("-nnn", "----", "----", "----"), {1: SILENT, 2: SILENT, 3: NEVER}, [], {0: [1, 2, 3]},
    ),
    "half hear half": (("-hnn", "h-nn", "nn-h", "nnh-"), {}, [0, 1, 2, 3], {}),
    "nobody but we": (("-",), {}, [], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_isolated_is_whom_most_others_do_not_hear(case: str) -> None:
    words, missed, isolated, _ = CASES[case]
    assert find_isolated(make_all(*words, missed=missed)) == [bytes([index]) for index in isolated]


@pytest.mark.parametrize("case", CASES)
def test_deaf_is_who_does_not_hear_whom_the_others_hear(case: str) -> None:
    words, missed, _, deaf = CASES[case]
    assert find_deaf(make_all(*words, missed=missed)) == {
        bytes([one]): [bytes([other]) for other in others] for one, others in deaf.items()
    }


def test_nobody_is_deaf_to_whom_not_all_can_have_told_of_yet() -> None:
    presences = make_all("-hhh", "h-hh", "hh-h", "hnh-")
    back = msgspec.structs.replace(presences[1], steady=HEARTBEAT_MISSED_LATE)
    assert find_deaf([presences[0], back, *presences[2:]]) == {}
    unheard = {**presences[3].unheard, bytes([1]): HEARTBEAT_MISSED + HEARTBEAT_MISSED_LATE}
    just_so = msgspec.structs.replace(presences[3], unheard=unheard)
    assert find_deaf([*presences[:3], just_so]) == {}


def test_what_a_member_says_of_itself_does_not_count() -> None:
    presences = make_all("-hhn", "h-hn", "hh-n", "hhhh")
    assert find_isolated(presences) == [bytes([3])]


def test_in_the_matrix_a_row_is_who_reports_and_nobody_reports_on_itself() -> None:
    rows = make_matrix(make_all("-hh", "h-h", "---", missed={2: NEVER}))
    assert rows == [[None, 0, 0], [10, None, 10], [None, None, None]]


@pytest.mark.parametrize(
    ("offsets", "told"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([0, -20, 7_000, -10], [10, -10, 7_010, 0]),
        # Ours is the one that is wrong.
        ([0, 7_000, 7_010, 7_020], [-7_000, 0, 10, 20]),
        # One liar moves nothing.
        ([0, 10, 20, 10**15], [-10, 0, 10, 10**15 - 10]),
    ],
)
def test_a_clock_is_held_against_the_median(offsets: list[int], told: list[int]) -> None:
    presences = [
        make(index, "", wall_ms=1_000, clock_ms=1_000 + offset)
        for index, offset in enumerate(offsets)
    ]
    assert list(compute_clock_offsets_ms(presences).values()) == told


def test_of_a_silent_members_clock_nothing_is_known() -> None:
    presences = [make(0, ""), make(1, "", missed=SILENT, clock_ms=9_000), make(2, "", missed=NEVER)]
    assert compute_clock_offsets_ms(presences) == {bytes([0]): 0}
    assert compute_clock_offsets_ms([]) == {}
