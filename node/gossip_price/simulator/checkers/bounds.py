"""6. Bounded: every queue and map of a node, and its journal, stays under its stated limit.

Looks at the objects themselves, by reflection: a container without a stated limit is a violation,
so that nobody adds a map and forgets that it must end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Law, Moment

_DAY_S: Final = 86_400
#: What a machine keeps for late signatures, and what may wait for the database.
_RECENT: Final = 4_096
_WAITING: Final = 200_000
#: Pairs that an epoch may have.
_PAIRS: Final = 64


class _Size(NamedTuple):
    """What limits depend on: the largest roster, rounds a day of all pairs, and so on."""

    members: int
    rounds_a_day: int
    open_rounds: int
    interval: int
    per_vote: int
    slot_rounds: int
    #: Settled reports that wait for the database now, however long it is away.
    waiting: int = 0


def _tallies(size: _Size) -> int:
    return _RECENT + size.waiting + 4 * size.members * size.open_rounds


#: Attribute → its limit. Four variants a proposer; a receipt's, a heartbeat's and a vote's worth.
_LIMITS: Final[dict[str, Callable[[_Size], int]]] = {
    "StepEffects._effects": lambda size: 0,
    "OpenRounds._rounds": lambda size: size.open_rounds,
    "Reports._tallies": _tallies,
    "Votes._votes": lambda size: (
        (11 + 3_600 // size.interval) * size.per_vote * max(1, size.open_rounds)
    ),
    "Votes._unsigned": lambda size: size.per_vote * size.open_rounds,
    "Speaking._unsigned": lambda size: 4,
    "Merging._settling": _tallies,
    "Reports._unsettled": _tallies,
    "Reports._incomplete": _tallies,
    "Reports._recent": lambda size: _RECENT,
    "Outbox._ids": lambda size: 4 * size.members * size.open_rounds,
    "Outbox._receipts": lambda size: 64,
    "Presence._others": lambda size: size.members,
    "Presence._seen": lambda size: _PAIRS,
    "Healing._holders": lambda size: size.members,
    "Healing._under_way": lambda size: 256,
    "Healing._askers": lambda size: size.members,
    "Audit._records": lambda size: 256,
    "Audit._others": lambda size: 256,
    "Audit._hidden": lambda size: 256,
    "Audit._repairs": lambda size: 16,
    "Audit._late": lambda size: _RECENT,
    "Recalls._wanted": lambda size: 0,
    "Forest._trees": lambda size: 8,
    "Forest._young": lambda size: size.members * (size.open_rounds + size.slot_rounds),
    "Catchup._peers": lambda size: size.members,
    "Catchup._walks": lambda size: 2,
    "Writing.stored_rounds": lambda size: _PAIRS,
    "Writing._pending": lambda size: _WAITING,
    "Writing._heap": lambda size: 4 * _WAITING,
    "Writing._trusted": lambda size: _WAITING,
    "Writing._halves": lambda size: 16,
    "Writing._in_flight": lambda size: 256,
    "Journal.votes": lambda size: 8 * size.rounds_a_day * size.per_vote,
    "Journal.proven": lambda size: size.waiting + 8 * size.rounds_a_day * size.per_vote,
    "Journal.stored": lambda size: 8 * size.rounds_a_day * size.per_vote,
    "Journal.left": lambda size: 8 * size.rounds_a_day * size.per_vote,
}
_JOURNAL: Final = ("votes", "proven", "stored", "left")
#: Frozen values: what the network agreed on, not what a node collects.
_VALUES: Final = ("EpochChain", "Document")
_CONTAINERS: Final = (dict, list, set, deque, tuple)

Attributes = dict[type, tuple[str, ...]]
"""The names of what a part of a machine holds, by its kind."""


class BoundsChecker(Checker):
    """Measures nodes when the world lets it look at them; keeps the largest size of each."""

    name = "bounds"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.largest: dict[str, int] = {}
        self._size = _compute_size(setting.laws)
        self._attributes: Attributes = {}

    def enacted(self, at: Moment, law: Law) -> None:
        super().enacted(at, law)
        self._size = _compute_size(self.laws)

    def inspected(self, at: Moment, node: int, machine: object, journal: object) -> None:
        if node in self.liars:
            return
        found = [
            *measure(machine, self._attributes),
            *((f"Journal.{name}", len(getattr(journal, name))) for name in _JOURNAL),
        ]
        waiting = sum(length for path, length in found if path == "Writing._pending")
        size = self._size._replace(waiting=waiting)
        for path, length in found:
            if path not in _LIMITS:
                self.blame(at, node, f"{path} has no stated limit in checkers/bounds.py")
                continue
            self.largest[path] = max(length, self.largest.get(path, 0))
            limit = _LIMITS[path](size)
            if length > limit:
                self.blame(at, node, f"{path} holds {length}, its limit is {limit}")
        for text in find_forgotten(machine):
            self.blame(at, node, text)


def measure(
    thing: object, known: Attributes | None = None, seen: set[int] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield the path and length of each container that `thing` and its parts hold.

    Parts know each other: each is measured once, `seen` has the ids of those that were. Only the
    first of a kind is asked what it holds, and `known` learns it: all of a kind hold the same from
    the start, and whatever has been asked is slower ever after (CPython keeps attributes in a dict
    then).
    """
    known = {} if known is None else known
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    kind = type(thing)
    if kind not in known:
        known[kind] = tuple(vars(thing))
    for attribute in known[kind]:
        value = getattr(thing, attribute)
        if isinstance(value, _CONTAINERS):
            yield f"{kind.__name__}.{attribute}", len(value)
        elif (
            type(value).__module__.startswith("gossip_price.core")
            and type(value).__dictoffset__  # `hasattr(value, "__dict__")` would ask it, too
            and type(value).__name__ not in _VALUES
            and not callable(value)
        ):
            yield from measure(value, known, seen)


def find_forgotten(machine: Any) -> Iterator[str]:
    """Say what a node holds for no reason: one each round would stay below every limit for days.

    What is not proven goes with its round, and what is settled waits for the database or is one of
    the newest. What stands for a real process's machine has taken down what was found in it.
    """
    if hasattr(machine, "find_forgotten"):
        yield from machine.find_forgotten()
        return
    open_ = {id_ for round_ in machine._rounds.list_all() for id_ in round_.tallies}
    kept = machine._writing._pending.keys() | machine._reports._recent.keys()
    for tally in machine._reports:
        name = tally.id.hex()[:8]
        if not tally.is_proven and tally.id not in open_:
            yield f"still holds {name}, which is not proven, of a round that is given up"
        if tally.is_settled and tally.id not in kept:
            yield f"still holds {name}, which is settled and waits for nothing"
    for id_ in machine._votes._unsigned:
        if id_ not in open_:
            yield f"still waits to sign {id_.hex()[:8]}, of a round that is given up"


def _compute_size(laws: tuple[Law, ...]) -> _Size:
    members = max(len(law.addresses) for law in laws)
    pairs = max(len(law.pairs) for law in laws)
    interval = min(law.interval for law in laws)
    longest = max(law.interval + law.skew for law in laws)
    # A round is given up half a minute after it can be signed; one is to come.
    open_rounds = pairs * ((longest + 30) // interval + 3)
    per_vote = members if any(law.every_node for law in laws) else 1
    # Rounds of a slot of 300 s, until the last of them is settled for certain.
    settled_s = max(law.interval + law.skew + law.settle_cap for law in laws)
    slot_rounds = pairs * ((settled_s + 2 * 300) // interval + 1)
    rounds_a_day = pairs * _DAY_S // interval
    return _Size(members, rounds_a_day, open_rounds, interval, per_vote, slot_rounds)
