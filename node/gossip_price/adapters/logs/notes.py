"""Turn the machine's notes into log lines: one each, states once at each end, floods counted.

Decides how loud each kind is; how a line looks is `setup`'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from gossip_price.core.events import Note, NoteKind

#: A repeated reason is told once in this time, with how many there were in between.
REPEAT_S: Final = 60.0
#: Reasons remembered for that; the code has about forty.
REASONS_MAX: Final = 128

_LEVELS: Final[Mapping[NoteKind, int]] = {
    NoteKind.NOT_OBSERVED: logging.WARNING,
    NoteKind.RECEIPT: logging.DEBUG,
    NoteKind.ROUND_LOST: logging.WARNING,
    NoteKind.EQUIVOCATION: logging.ERROR,
    NoteKind.REJECTED: logging.WARNING,
    NoteKind.PUBLISHED: logging.DEBUG,
    NoteKind.ASKED: logging.DEBUG,
    NoteKind.ANSWERED: logging.DEBUG,
    NoteKind.UNANSWERED: logging.DEBUG,
    NoteKind.POISON: logging.ERROR,
    NoteKind.AUDIT_FAILED: logging.WARNING,
    NoteKind.RESTORED: logging.WARNING,
    NoteKind.QUARANTINED: logging.ERROR,
    NoteKind.LEFT_ALONE: logging.WARNING,
    NoteKind.LATE_SIGNED: logging.DEBUG,
    NoteKind.CLOCK_STEPPED: logging.WARNING,
    NoteKind.JOURNAL_FAILED: logging.ERROR,
    NoteKind.STORE_DOWN: logging.WARNING,
    NoteKind.EPOCH_REFUSED: logging.ERROR,
    NoteKind.PROTOCOL_UNKNOWN: logging.ERROR,
}
#: What `count` counts, where it is not signers.
_COUNT_NAMES: Final[Mapping[NoteKind, str]] = {
    NoteKind.OBSERVED: "sources",
    NoteKind.PUBLISHED: "entries",
    NoteKind.ASKED: "ids",
    NoteKind.ANSWERED: "entries",
    NoteKind.CAUGHT_UP: "ids",
    NoteKind.EPOCH_KNOWN: "epoch",
    NoteKind.EPOCH_ENTERED: "epoch",
    NoteKind.PROTOCOL_UNKNOWN: "epoch",
    NoteKind.AUDITED: "rows",
    NoteKind.LATE_SIGNED: "signatures",
}
_FLOODS: Final = frozenset(
    {NoteKind.IGNORED, NoteKind.REJECTED, NoteKind.RESTORED, NoteKind.LEFT_ALONE}
)
#: Each state: the note that begins the trouble, and the one that ends it.
_STATES: Final[Mapping[NoteKind, tuple[str, bool]]] = {
    NoteKind.STORE_DOWN: ("store", False),
    NoteKind.STORE_UP: ("store", True),
    NoteKind.JOURNAL_FAILED: ("journal", False),
    NoteKind.JOURNAL_RECOVERED: ("journal", True),
}


class NoteLogger:
    """Writes notes to the log; its `observe` is an Observer. `mono_s` is a monotonic clock."""

    def __init__(self, mono_s: Callable[[], float] = time.monotonic) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("gossip_price")
        self._mono_s = mono_s
        #: Since when each state is as it is: (good, seconds).
        self._states: dict[str, tuple[bool, float]] = {}
        #: By (kind, reason): when it was last told, and how many came since.
        self._floods: dict[tuple[NoteKind, str], tuple[float, int]] = {}

    def observe(self, note: Note) -> None:
        """Write one note, unless it only repeats what was just said."""
        extra: dict[str, object] = {}
        if note.kind in _STATES:
            told = self._enter_state(note.kind)
        elif note.kind in _FLOODS:
            told = self._count_flood(note)
        else:
            told = extra
        if told is not None:
            level = _LEVELS.get(note.kind, logging.INFO)
            self._log.log(level, note.kind.value, **_describe(note), **told)

    def flush(self) -> None:
        """Tell what was counted and not yet told; for the end of a process."""
        for (kind, reason), (_, unsaid) in self._floods.items():
            if unsaid:
                level = _LEVELS.get(kind, logging.INFO)
                self._log.log(level, kind.value, reason=reason, repeated=unsaid)
        self._floods.clear()

    def _enter_state(self, kind: NoteKind) -> dict[str, object] | None:
        state, good = _STATES[kind]
        before = self._states.get(state)
        if before is not None and before[0] is good:
            return None
        now_s = self._mono_s()
        self._states[state] = (good, now_s)
        # How long the trouble lasted, at its end.
        return {"after_s": round(now_s - before[1], 1)} if before is not None and good else {}

    def _count_flood(self, note: Note) -> dict[str, object] | None:
        key = (note.kind, note.reason)
        if key not in self._floods and len(self._floods) >= REASONS_MAX:
            key = (note.kind, "other")
        now_s = self._mono_s()
        told_s, unsaid = self._floods.get(key, (float("-inf"), 0))
        if now_s - told_s < REPEAT_S:
            self._floods[key] = (told_s, unsaid + 1)
            return None
        self._floods[key] = (now_s, 0)
        return {"repeated": unsaid} if unsaid else {}


def format_price(price: int, decimals: int) -> str:
    """Write an integer of 10^-decimals as a decimal: (300112, 2) is 3001.12."""
    whole, part = divmod(price, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def _describe(note: Note) -> dict[str, object]:
    """Return the fields of a note that say something, in the order that people read them."""
    fields: dict[str, object] = {}
    if note.pair:
        fields["pair"] = note.pair
    if note.round:
        fields["round"] = note.round
    if note.id:
        fields["store" if note.kind is NoteKind.STORE_UP else "id"] = note.id
    if note.price:
        fields["price"] = format_price(note.price, note.decimals)
    if note.member:
        fields["member"] = note.member
    if note.count or note.needed:
        fields[_COUNT_NAMES.get(note.kind, "count")] = note.count
    if note.needed:
        fields["needed"] = note.needed
    if note.ms:
        fields["ms"] = note.ms
    if note.reason:
        fields["reason"] = note.reason
    if note.detail:
        fields["detail"] = note.detail
    if note.author:
        fields["author"] = note.author
    return fields
