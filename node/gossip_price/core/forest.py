"""What is proven, by UTC day: a hash tree for each of the last days, over the rounds before a cut.

All nodes cut at the same rounds, by round time and not by arrival, so that in peace they name the
same roots. Who holds what, and how others' trees are walked, is `catchup`'s affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from gossip_price.core.limits import FOREST_DAYS, FOREST_IDS_MAX, FOREST_SLOT_S
from gossip_price.core.merkle import HASH_BYTES, Tree
from gossip_price.core.wire import WireError
from gossip_price.network.document import DAY_S, Document

_CUT_BYTES: Final = 8
_DAY_BYTES: Final = 4
_DAY_MAX: Final = 2**32 - 1
_ROOT_BYTES: Final = _DAY_BYTES + 4 + HASH_BYTES


class Root(NamedTuple):
    """One day's tree as its holder names it: how many signatures are in it, and its hash."""

    signatures: int
    hash: bytes


class Roots(NamedTuple):
    """All days that somebody has something of, by day (Unix seconds div 86 400).

    `cut`: only rounds that start before it are in the trees, and all those that are proven.
    """

    cut: int
    days: Mapping[int, Root]


def compute_cut(document: Document, unix_s: int) -> int:
    """Return the round start before which all rounds are closed at this time.

    A round of `document`, the epoch in force, may be signed until its end and the skew, and is
    settled within the cap after that; then gossip about it has normally ended. Rounded down, so
    that the trees stand still between.
    """
    lag_s = document.interval + document.skew + document.settle_cap
    return max(0, unix_s - lag_s) // FOREST_SLOT_S * FOREST_SLOT_S


def encode_roots(roots: Roots) -> bytes:
    """Write cut (8 bytes), then by day: day (4), signatures (4), hash (32); big-endian."""
    parts = bytearray(roots.cut.to_bytes(_CUT_BYTES, "big"))
    for day, root in sorted(roots.days.items()):
        parts += day.to_bytes(_DAY_BYTES, "big")
        parts += min(root.signatures, _DAY_MAX).to_bytes(4, "big") + root.hash
    return bytes(parts)


@lru_cache(maxsize=64)
def decode_roots(data: bytes) -> Roots:
    """Read what `encode_roots` has written; no bytes at all are nobody's roots.

    Cached: the doorkeeper reads it, and then the one who compares.

    Raises WireError with reason `malformed` for a cut, days out of order or too many.
    """
    if not data:
        return Roots(0, {})
    days: dict[int, Root] = {}
    newest = -1
    if len(data) < _CUT_BYTES or (len(data) - _CUT_BYTES) % _ROOT_BYTES:
        raise WireError("malformed", f"{len(data)} bytes of roots")
    for at in range(_CUT_BYTES, len(data), _ROOT_BYTES):
        day = int.from_bytes(data[at : at + 4], "big")
        if day <= newest or len(days) >= FOREST_DAYS:
            raise WireError("malformed", f"no root at byte {at}")
        newest = day
        signatures = int.from_bytes(data[at + 4 : at + 8], "big")
        days[day] = Root(signatures, data[at + 8 : at + _ROOT_BYTES])
    return Roots(int.from_bytes(data[:_CUT_BYTES], "big"), MappingProxyType(days))


class Forest:
    """The trees of the last FOREST_DAYS days, and what is proven of rounds that are not closed."""

    def __init__(self) -> None:
        self._trees: dict[int, Tree] = {}
        #: Rounds after the cut: (round, signers as bits), by id.
        self._young: dict[bytes, tuple[int, int]] = {}
        self._oldest_day = 0
        #: Days before this were dropped to make room.
        self._dropped_before = 0
        self._cut = 0
        self._count = 0
        self._roots: bytes | None = None

    def __len__(self) -> int:
        return self._count + len(self._young)

    def add(self, id_: bytes, round_: int, bits: int) -> None:
        """Unite the signers of a proven id; what is older than the oldest day is not kept."""
        if round_ // DAY_S < self._oldest_day or not bits:
            return
        if round_ >= self._cut:
            self._young[id_] = round_, bits | self._young.get(id_, (0, 0))[1]
        else:
            self._plant(id_, round_ // DAY_S, bits)
        if len(self) > FOREST_IDS_MAX:
            self._drop_oldest()

    def _plant(self, id_: bytes, day: int, bits: int) -> None:
        tree = self._trees.get(day)
        if tree is None:
            tree = self._trees[day] = Tree()
        before = len(tree)
        tree.add(id_, bits)
        self._count += len(tree) - before
        self._roots = None

    def close(self, cut: int, today: int) -> None:
        """Take up the rounds before `cut`, and drop whole days that are too old.

        The cut stays where it was, should it go back by less than a day (a longer interval, a
        clock set back); what was closed stays so anyway.
        """
        if cut > self._cut:
            self._cut, self._roots = cut, None
            young, self._young = self._young, {}
            for id_, (round_, bits) in young.items():
                if round_ < cut:
                    self._plant(id_, round_ // DAY_S, bits)
                else:
                    self._young[id_] = round_, bits
        elif cut < self._cut - DAY_S:
            self._cut, self._roots = cut, None
        oldest_day = today - FOREST_DAYS + 1
        if any(day < oldest_day for day in self._trees):
            self._forget_before(oldest_day)
        self._oldest_day = max(oldest_day, min(self._dropped_before, today))

    def _drop_oldest(self) -> None:
        """Make room by a whole day; it is not kept again before it is too old anyway."""
        days = [*self._trees, *(round_ // DAY_S for round_, _ in self._young.values())]
        self._oldest_day = self._dropped_before = min(days) + 1
        self._forget_before(self._oldest_day)

    def _forget_before(self, day: int) -> None:
        for old in [old for old in self._trees if old < day]:
            self._count -= len(self._trees.pop(old))
        self._young = {id_: one for id_, one in self._young.items() if one[0] // DAY_S >= day}
        self._roots = None

    def get_bits(self, id_: bytes) -> int:
        """Return the signers known of a proven id, as bits; 0 if it is not known."""
        if id_ in self._young:
            return self._young[id_][1]
        return next((bits for tree in self._trees.values() if (bits := tree.get_bits(id_))), 0)

    def get_tree(self, day: int) -> Tree | None:
        """Return a day's tree; None for a day of which nothing is known."""
        return self._trees.get(day)

    @property
    def cut(self) -> int:
        """The round start before which all that is proven is in the trees."""
        return self._cut

    def encode_roots(self) -> bytes:
        """Return our roots as heartbeats carry them; cached until something changes."""
        if self._roots is None:
            roots = {day: Root(tree.signatures, tree.root) for day, tree in self._trees.items()}
            newest = sorted(roots)[-FOREST_DAYS:]
            self._roots = encode_roots(Roots(self._cut, {day: roots[day] for day in newest}))
        return self._roots

    def keeps(self, day: int) -> bool:
        """Tell whether this day is one of those that are kept now."""
        return self._oldest_day <= day <= self._cut // DAY_S
