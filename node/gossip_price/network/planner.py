"""The way from one epoch to another, through the epochs between that safety demands. Pure.

Two epochs in a row must share enough signers (`overlap`), and each epoch between must be safe
and live by itself: members are added before others are removed, or the threshold is raised
first. `plan_path` finds the shortest way, always the same one; `plan_next` makes the next
document of it, when it may be made. It knows no clock, no files and nothing of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import lcm
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from gossip_price.network.document import (
    MEMBERS_MAX,
    Document,
    DocumentError,
    Member,
    Mode,
    compute_faulty_default,
)
from gossip_price.network.keys import parse_address
from gossip_price.network.overlap import Quorum, find_overlap_problem, get_quorum

#: A new epoch is announced this long before it starts, so that all members have it by then.
LEAD_S: Final = 180
#: More members than this to add, or to remove, are planned in portions: the search looks at
#: every pair of (added, removed), and a path of portions is as safe, if not always the shortest.
PORTION_MAX: Final = 12


class PlanError(DocumentError):
    """No epoch may lead from here to there; says why and what can be done."""


class Plan(Struct, frozen=True):
    """What is to be done now, and what is left to do.

    `document` is the next epoch, or None with the `reason` why there is none yet; `steps` are
    the epochs from here to what is wanted, that one included: empty if it is reached. Of a
    step, epoch number, start and previous hash are only known once it is `document`.
    """

    document: Document | None
    reason: str
    steps: tuple[Document, ...]


def plan_next(
    newest: Document, wanted: Document, *, is_proven: bool, now_s: int, lead_s: int = LEAD_S
) -> Plan:
    """Return the next epoch after `newest` on the way to `wanted`, or the reason why not yet.

    `newest` is the last epoch of the chain. `wanted` says members and terms; its number, start
    and previous hash are not looked at (`spec.make_document` makes such a document).
    `is_proven`: a round was proven in `newest`, else nobody may leave it, so that a member two
    epochs behind finds no quorum. The epoch starts `lead_s` seconds after `now_s` at the
    earliest, with a round of both epochs.

    Raises PlanError if no path leads there, and DocumentError if `wanted` is of another network.
    """
    if wanted.network_id != newest.network_id:
        raise PlanError(
            f"networkId: {wanted.network_id} wanted, but the epochs are of {newest.network_id};"
            " remedy: a network keeps its id for good"
        )
    steps = plan_steps(newest, wanted)
    if not steps:
        return Plan(None, f"epoch {newest.epoch} is as wanted", ())
    if now_s < newest.start:
        reason = f"epoch {newest.epoch} starts in {newest.start - now_s} s"
        return Plan(None, f"{reason}, and is followed once a round was proven in it", steps)
    if not is_proven:
        return Plan(None, f"no round was proven in epoch {newest.epoch} yet", steps)
    return Plan(make_next(newest, steps[0], now_s=now_s, lead_s=lead_s), "", steps)


def plan_steps(newest: Document, wanted: Document) -> tuple[Document, ...]:
    """Return the documents of the path, without their places in the chain: see Plan.steps.

    Epochs between have the terms of `newest` (interval, pairs …), but for members, threshold,
    f and mode; the last one is as wanted in everything. Raises PlanError.
    """
    last = _place(wanted, newest)
    if last == newest:
        return ()
    before, after = get_quorum(newest), get_quorum(wanted)
    members = {
        member.address: member for document in (newest, wanted) for member in document.members
    }
    steps = []
    for quorum in plan_path(before, after)[:-1]:
        roster = [members[address] for address in quorum.members]
        _check_peer_ids(roster)
        changed = msgspec.structs.replace(
            newest,
            members=tuple(sorted(roster, key=lambda member: parse_address(member.address))),
            minimum_signers=quorum.minimum_signers,
            faulty=quorum.faulty,
            mode=quorum.mode,
        )
        steps.append(changed)
    return (*steps, last)


def make_next(before: Document, step: Document, *, now_s: int, lead_s: int = LEAD_S) -> Document:
    """Return `step` as the epoch that follows `before`: its number, previous hash and start.

    It starts `lead_s` seconds after `now_s` at the earliest, where a round of both begins.
    """
    aligned = lcm(before.interval, step.interval)
    earliest = max(now_s + lead_s, before.start + 1)
    return msgspec.structs.replace(
        step,
        epoch=before.epoch + 1,
        previous="0x" + before.hash.hex(),
        start=-(-earliest // aligned) * aligned,
    )


def _place(step: Document, at: Document) -> Document:
    """Return `step` at the place of `at`, to compare or to show what it says.

    A start must suit the step's own interval: it is rounded down to it.
    """
    start = at.start - at.start % step.interval
    return msgspec.structs.replace(step, epoch=at.epoch, previous=at.previous, start=start)


def _check_peer_ids(roster: Sequence[Member]) -> None:
    seen: dict[str, str] = {}
    for member in roster:
        other = seen.setdefault(member.peer_id, member.address)
        if other != member.address:
            raise PlanError(
                f"members: {other} and {member.address} have the same peer id {member.peer_id} and"
                " must both be members in an epoch between; remedy: give the new member an"
                " identity key of its own"
            )


# --- the path -------------------------------------------------------------------------------


class _Place(NamedTuple):
    """How far a path has come: new members added, old ones removed, the mode, and its quorum."""

    added: int
    removed: int
    is_new_mode: bool
    quorum: Quorum


def plan_path(before: Quorum, wanted: Quorum) -> tuple[Quorum, ...]:
    """Return the shortest safe path from `before` to `wanted`, without the first, with the last.

    Each epoch between is safe (2q > N + f in Rounds), asks for no fewer signers than the lower
    of both ends, and can lose f members, or one if both ends can, without stopping. Only where
    there is no such path, epochs between may need every member. Members are added, and removed,
    in the order of their addresses. Raises PlanError if there is no path at all.
    """
    if before == wanted:
        return (wanted,)
    for is_live in (True, False):
        path = _find_path(_Ends(before, wanted, is_live))
        if path is not None:
            return tuple(path)
    raise PlanError(
        f"no safe path of epochs leads from {len(before.members)} members with"
        f" minimumSigners {before.minimum_signers} and faulty {before.faulty} to"
        f" {len(wanted.members)} with {wanted.minimum_signers} and {wanted.faulty};"
        " remedy: change fewer members at once, or another threshold"
    )


class _Ends(NamedTuple):
    """What the epochs between are measured by, and whether they must do without a member."""

    before: Quorum
    wanted: Quorum
    is_live: bool


def _find_path(ends: _Ends) -> list[Quorum] | None:
    path: list[Quorum] = []
    while not path or path[-1] != ends.wanted:
        leg = _find_leg(path[-1] if path else ends.before, ends)
        if leg is None:
            return None
        path += leg
    return path


def _find_leg(here: Quorum, ends: _Ends) -> list[Quorum] | None:
    """Return the path to what is wanted, or to a corner of a search that would be too large."""
    added = sorted(ends.wanted.members - here.members)
    removed = sorted(here.members - ends.wanted.members)
    is_whole = len(added) <= PORTION_MAX and len(removed) <= PORTION_MAX
    added, removed = added[:PORTION_MAX], removed[:PORTION_MAX]
    places = list(_list_places(here, ends, added, removed))
    corner = (len(added), len(removed))
    if is_whole:
        goals = [_Place(*corner, True, ends.wanted)]
        places += goals
    else:
        goals = [place for place in places if place[:2] == corner and place.is_new_mode]
    start = _Place(0, 0, here.mode is ends.wanted.mode, here)
    found = _find_shortest(start, goals, places)
    if found is None:
        return None
    return _lower_thresholds(here, [place.quorum for place in found], ends)


def _list_places(
    here: Quorum, ends: _Ends, added: Sequence[str], removed: Sequence[str]
) -> Iterator[_Place]:
    """Yield every epoch that may stand between, with the highest threshold that keeps it live.

    A higher threshold only ever helps two epochs to overlap; it is lowered afterwards.
    """
    mode_wanted = ends.wanted.mode
    for mode in (here.mode,) if here.mode is mode_wanted else (here.mode, mode_wanted):
        for gone in range(len(removed) + 1):
            for come in range(len(added) + 1):
                members = (here.members - set(removed[:gone])) | set(added[:come])
                bounds = _find_bounds(members, mode, ends)
                if bounds is not None:
                    quorum = Quorum(members, bounds[1], _choose_faulty(members, ends), mode)
                    yield _Place(come, gone, mode is mode_wanted, quorum)


def _choose_faulty(members: frozenset[str], ends: _Ends) -> int:
    """Return f of an epoch between: what its size would have, within what both ends say."""
    low, high = sorted((ends.before.faulty, ends.wanted.faulty))
    return min(high, max(low, compute_faulty_default(len(members))))


def _find_bounds(members: frozenset[str], mode: Mode, ends: _Ends) -> tuple[int, int] | None:
    """Return the lowest and the highest threshold of an epoch between; None if it has none."""
    count = len(members)
    if not 1 <= count <= MEMBERS_MAX:
        return None
    faulty = _choose_faulty(members, ends)
    least = min(ends.before.minimum_signers, ends.wanted.minimum_signers)
    if mode is Mode.ROUNDS:
        least = max(least, (count + faulty) // 2 + 1)
    spared = (len(end.members) - end.minimum_signers for end in (ends.before, ends.wanted))
    most = count - max(faulty, min(1, *spared)) if ends.is_live else count
    return (least, most) if least <= most else None


def _find_shortest(
    start: _Place, goals: Sequence[_Place], places: Sequence[_Place]
) -> list[_Place] | None:
    """Return the places after `start` to the nearest goal.

    Of equal ways, the one that removes, then adds, least at first: known members come first.
    """
    ordered = sorted(places, key=lambda place: (place.removed, place.added, place.is_new_mode))
    came_from: dict[_Place, _Place | None] = {start: None}
    layer = [start]
    while layer:
        reached: list[_Place] = []
        for here in layer:
            for there in ordered:
                if there not in came_from and _may_follow(here, there):
                    came_from[there] = here
                    reached.append(there)
        for goal in goals:
            if goal in came_from:
                return _walk_back(goal, came_from)
        layer = reached
    return None


def _may_follow(here: _Place, there: _Place) -> bool:
    """Tell whether `there` lies ahead and overlaps enough: nobody comes or goes twice."""
    return (
        there.added >= here.added
        and there.removed >= here.removed
        and there.is_new_mode >= here.is_new_mode
        and find_overlap_problem(here.quorum, there.quorum) is None
    )


def _walk_back(goal: _Place, came_from: dict[_Place, _Place | None]) -> list[_Place]:
    path: list[_Place] = []
    place: _Place | None = goal
    while place is not None:
        path.append(place)
        place = came_from[place]
    return path[-2::-1]


def _lower_thresholds(here: Quorum, path: list[Quorum], ends: _Ends) -> list[Quorum]:
    """Return the path with every threshold between as low as its neighbours allow."""
    lowered = [here]
    for quorum, later in pairwise(path):
        bounds = _find_bounds(quorum.members, quorum.mode, ends)
        low = quorum.minimum_signers if bounds is None else bounds[0]
        for threshold in range(low, quorum.minimum_signers + 1):
            lower = msgspec.structs.replace(quorum, minimum_signers=threshold)
            if not (find_overlap_problem(lowered[-1], lower) or find_overlap_problem(lower, later)):
                lowered.append(lower)
                break
    # The corner of a portion keeps its threshold: the next portion may need it.
    return [*lowered[1:], path[-1]]
