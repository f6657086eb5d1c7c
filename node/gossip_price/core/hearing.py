"""Who hears whom: what the members' heartbeats say of each other, put together. Pure.

What a member says of itself does not count, what others say of it does, and of these the median,
so that one liar of four does not set the picture. Ages are counted in beats (`presence`), which
are seconds in a busy network and minutes in a quiet one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import median_high, median_low
from typing import Final

from msgspec import Struct

from gossip_price.core.limits import HEARTBEAT_MISSED, HEARTBEAT_MISSED_LATE, REPORTERS_MIN
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Now


class MemberPresence(Struct, frozen=True):
    """One member of the epoch in force, by its newest heartbeat since our start.

    Members are addresses. While no heartbeat came, `received` is None and all after it empty. We
    ourselves are among them if we are a member, as we would tell of ourselves now.

    `missed`: beats since its heartbeat came. `steady`: beats since we hear it without a gap, or, if
    it was never heard, since our start. `clock_ms`: its wall clock when it made it.
    `store`: None without a database. `heard`: messages of each other member since its boot;
    `unheard`: beats since that number last grew, as far as we know.
    """

    member: bytes
    is_me: bool = False
    missed: int = 0
    steady: int = 0
    received: Now | None = None
    boot: int = 0
    sequence: int = 0
    epoch: bytes = b""
    version: str = ""
    store: bytes | None = None
    clock_ms: int = 0
    connected: frozenset[bytes] = frozenset()
    heard: Mapping[bytes, int] = {}
    unheard: Mapping[bytes, int] = {}
    observed: tuple[Seen, ...] = ()


class State(Enum):
    """What a member's heartbeats make of it, as seen from here."""

    ALIVE = "alive"
    LATE = "late"
    SILENT = "silent"
    NEVER = "never"


#: Between two heartbeats of the same member, one lost or two at changes of pace.
_SPARE: Final = HEARTBEAT_MISSED_LATE
_PRESENT: Final = (State.ALIVE, State.LATE)


def compute_state(presence: MemberPresence) -> State:
    """Say how long ago its heartbeat came: late is no trouble yet, silent is."""
    if presence.received is None:
        return State.NEVER
    if presence.missed > HEARTBEAT_MISSED:
        return State.SILENT
    return State.LATE if presence.missed > HEARTBEAT_MISSED_LATE else State.ALIVE


def is_present(presence: MemberPresence) -> bool:
    """Tell whether the member is there, as far as we can see: alive or late."""
    return compute_state(presence) in _PRESENT


def make_matrix(presences: Sequence[MemberPresence]) -> list[list[int | None]]:
    """Return a row for each member: how many messages of each it says it has heard.

    None where it says nothing: of itself, before its first heartbeat, and of members that its
    epoch does not have.
    """
    return [
        [None if one is other else one.heard.get(other.member) for other in presences]
        for one in presences
    ]


def find_isolated(presences: Sequence[MemberPresence]) -> list[bytes]:
    """Return the members that are not heard: stopped or cut off, which looks the same from here.

    So it is if most of the others that are there say so, and these are REPORTERS_MIN at least.
    """
    reporters = [one for one in presences if is_present(one)]
    isolated = []
    for subject in presences:
        ages = _list_ages(subject.member, reporters)
        if len(ages) >= REPORTERS_MIN and median_low(ages) > HEARTBEAT_MISSED:
            isolated.append(subject.member)
    return isolated


def find_deaf(presences: Sequence[MemberPresence]) -> dict[bytes, list[bytes]]:
    """Return the members that do not hear somebody whom the others hear, and whom.

    One that hears nobody at all is deaf whatever the others hear. Of this only the member itself
    can tell; who lies here harms nobody but itself. What members say is as old as their newest
    heartbeats, so that it is waited until all have had the time to say the same.
    """
    spared = frozenset(find_isolated(presences)) | {
        one.member for one in presences if one.steady <= _SPARE
    }
    reporters = [one for one in presences if is_present(one)]
    deaf = {}
    for one in reporters:
        lost = [member for member, age in one.unheard.items() if age > HEARTBEAT_MISSED + _SPARE]
        if len(lost) < len(one.unheard):
            others = [other for other in reporters if other is not one]
            lost = [
                member
                for member in lost
                if member not in spared and _is_heard(_list_ages(member, others))
            ]
        if lost:
            deaf[one.member] = lost
    return deaf


def compute_clock_offsets_ms(presences: Sequence[MemberPresence]) -> dict[bytes, int]:
    """Return how far each member's clock is ahead of the median of all that are there.

    A heartbeat is up to two seconds on its way, so that less than that says nothing. Not against
    our own clock: if that is wrong, ours is the offset that shows it.
    """
    raw = {
        one.member: one.clock_ms - one.received.wall_ms
        for one in presences
        if one.received is not None and is_present(one)
    }
    if not raw:
        return {}
    middle = median_low(raw.values())
    return {member: offset - middle for member, offset in raw.items()}


def _list_ages(subject: bytes, reporters: Sequence[MemberPresence]) -> list[int]:
    """Return what each says of the subject; the subject itself has no say."""
    return [one.unheard[subject] for one in reporters if subject in one.unheard]


def _is_heard(ages: Sequence[int]) -> bool:
    return len(ages) >= REPORTERS_MIN and median_high(ages) <= HEARTBEAT_MISSED
