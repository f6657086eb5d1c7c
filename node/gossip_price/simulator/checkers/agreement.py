"""8. Agreement: in the end all honest members that live know the same proven reports and signers.

Of closed rounds, and of the days that all keep, as `docs/protocol.md` defines them. What a node
knows is read from its journal, what it says it knows from the roots in its heartbeats, and a root
is computed here once more from the journal, with no code of the core.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Moment

_DAY_S: Final = 86_400
#: Today and the six days before: whatever is older is forgotten at each node's own hour.
_DAYS: Final = 7
#: Clocks may differ by this: a day begins here before it does anywhere.
_CLOCKS_S: Final = 3_600
_LEAF_MAX: Final = 16
_DOMAIN: Final = b"gossip-price tree 1"
#: Where a heartbeat's clock and roots stand: after member, boot, sequence and epoch; and after
#: store, version, connected, heard, observed and open.
_CLOCK_AT: Final = 4
_ROOTS_AT: Final = 11
_decode = msgspec.msgpack.Decoder().decode
#: How a message begins that has no entries and no receipts: four parts, version, two empty lists.
_BEATS_ALONE: Final = b"\x94\x01\x90\x90"

Known = dict[bytes, tuple[int, frozenset[int]]]
"""Round and signers (by index) of each proven report, by its id."""


class AgreementChecker(Checker):
    """Compares journals with each other, and each with its node's newest heartbeat."""

    name = "agreement"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._journals: dict[int, Any] = {}
        #: The message with each node's newest heartbeat.
        self._said: dict[int, bytes] = {}
        self._here: set[int] = set()
        self._looked: Moment | None = None

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._here.add(node)

    def ended(self, at: Moment, node: int) -> None:
        self._here.discard(node)
        self._said.pop(node, None)

    def published(self, at: Moment, node: int, data: bytes) -> None:
        if node in self.liars:
            return
        if data.startswith(_BEATS_ALONE) or _decode(data)[3]:
            self._said[node] = data

    def inspected(self, at: Moment, node: int, machine: object, journal: Any) -> None:
        # Read when it is asked for, at once after the look or at the end.
        self._looked = at
        self._journals[node] = journal

    def is_content(self) -> bool:
        return self._find_difference() is None

    def close(self, at: Moment) -> None:
        difference = self._find_difference()
        if difference is not None:
            self.blame(at, *difference)

    def _find_difference(self) -> tuple[int, str] | None:
        """Return a node and in what it differs from the first one, or from what it says."""
        members = [index for index in sorted(self._here - self.liars) if self._is_judged(index)]
        if self._looked is None or not members:
            return None
        now_s = self._looked.true_ms // 1000
        oldest, cut = _compute_oldest(now_s + _CLOCKS_S), self._compute_cut(now_s)
        first = _select(_read_known(self._journals[members[0]]), oldest, cut)
        for index in members:
            all_known = _read_known(self._journals[index])
            known = _select(all_known, oldest, cut)
            journals = (self._journals[index], self._journals[members[0]])
            lacking = [id_ for id_ in sorted(known.keys() | first.keys())
                       if known.get(id_) != first.get(id_)
                       and not any(self._is_left_behind(id_, one) for one in journals)]  # fmt: skip
            if lacking:
                return index, f"{len(lacking)} closed reports differ, as {lacking[0].hex()[:8]}"
            # Its newest heartbeat may be of an earlier cut than the last look: by that one, then.
            clock_ms, roots = _read_newest_beat(self._said.get(index))
            said_cut, said = _read_roots(roots)
            if said != _compute_roots(
                _select(all_known, _compute_oldest(clock_ms // 1000), said_cut)
            ):
                return index, "its heartbeats name other roots than its journal gives"
        return None

    def _is_left_behind(self, id_: bytes, journal: Any) -> bool:
        """What was proven two epochs behind, its laggards alone have taken in."""
        record = journal.proven.get(id_)
        if record is None:
            return False
        report = record.entry.report
        return self.is_left(self.law_by_epoch[report.epoch], report.round)

    def _is_judged(self, index: int) -> bool:
        """A member that knows the rules of every epoch: else it takes in nothing of some."""
        knows_all = {law.protocol for law in self.laws} <= self.setting.protocols[index]
        is_member = self.setting.addresses[index] in self.laws[-1].addresses
        return is_member and knows_all and index in self._journals

    def _compute_cut(self, unix_s: int) -> int:
        law = self.get_law(unix_s) or self.laws[0]
        return max(0, unix_s - law.interval - law.skew - law.settle_cap) // 300 * 300


def _read_known(journal: Any) -> Known:
    return {
        id_: (
            record.entry.report.round,
            frozenset(signature.member for signature in record.entry.signatures),
        )
        for id_, record in journal.proven.items()
    }


def _select(known: Known, oldest: int, cut: int) -> Known:
    """Return what is of closed rounds, and young enough to be forgotten nowhere."""
    return {id_: one for id_, one in known.items() if oldest <= one[0] < cut}


def _compute_oldest(unix_s: int) -> int:
    """Return the first round start of the days that are kept."""
    return (unix_s // _DAY_S - _DAYS + 1) * _DAY_S


def _read_newest_beat(message: bytes | None) -> tuple[int, bytes]:
    """Return the clock (milliseconds) and the roots of the heartbeat in there."""
    beats = _decode(message)[3] if message is not None else ()
    return (beats[-1][_CLOCK_AT], beats[-1][_ROOTS_AT]) if beats else (0, b"")


def _read_roots(data: bytes) -> tuple[int, dict[int, bytes]]:
    days = range(8, len(data), 40)
    return int.from_bytes(data[:8], "big"), {
        int.from_bytes(data[at : at + 4], "big"): data[at + 8 : at + 40] for at in days
    }


def _compute_roots(known: Known) -> dict[int, bytes]:
    by_day: dict[int, dict[bytes, bytes]] = {}
    for id_, (round_, signers) in known.items():
        bits = sum(1 << member for member in signers)
        bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        by_day.setdefault(round_ // _DAY_S, {})[id_] = bytes([len(bitmap)]) + bitmap
    return {day: _compute_hash(sorted(one.items()), 0) for day, one in by_day.items()}


def _compute_hash(items: list[tuple[bytes, bytes]], depth: int) -> bytes:
    if len(items) <= _LEAF_MAX:
        data = b"\x00" + b"".join(id_ + bitmap for id_, bitmap in items)
    else:
        there, hashes = 0, b""
        for digit in range(16):
            part = [item for item in items if int(item[0].hex()[depth], 16) == digit]
            if part:
                there |= 1 << digit
                hashes += _compute_hash(part, depth + 1)
        data = b"\x01" + there.to_bytes(2, "big") + hashes
    return blake2b(_DOMAIN + data, digest_size=32).digest()
