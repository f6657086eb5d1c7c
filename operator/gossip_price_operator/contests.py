"""When somebody undoes what we applied, again and again: put it back ever less often. Pure.

An edit by hand is put back at once. Another controller that wants the same field its own way, or
deletes what we make, answers each of our writes with one of its own: two programs that are both
right in a loop that only one of them can end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gossip_price_operator.names import FIELD_MANAGER

#: Applied so often in a row, the same manifest over the same object, it is nobody's slip.
CONTESTED: Final = 4
_PAUSE_FIRST_S: Final = 5.0
_PAUSE_MAX_S: Final = 300.0
#: Who leaves it alone for so long, and for twice the last pause, has given in.
_CALM_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Contest:
    """How often one manifest was applied to its object, by its hash.

    Not again before `next_s`; forgotten at `calm_s` (the loop's time). `rival` is who changed the
    object last beside us, "" where nobody says so.
    """

    applied: str
    count: int
    next_s: float
    calm_s: float
    rival: str = ""

    @property
    def is_contested(self) -> bool:
        """Somebody undoes it as often as it is done."""
        return self.count >= CONTESTED


def note_apply(known: Contest | None, applied: str, rival: str, now_s: float) -> Contest:
    """Return the contest after an apply of the manifest with this hash."""
    count = 1 if known is None or known.applied != applied else known.count + 1
    doublings = min(count - CONTESTED, 10)
    pause_s = 0.0 if doublings < 0 else min(_PAUSE_MAX_S, _PAUSE_FIRST_S * 2.0**doublings)
    if known is not None and known.rival:
        rival = known.rival  # what is told stays told in the same words
    return Contest(applied, count, now_s + pause_s, now_s + max(_CALM_S, 2 * pause_s), rival)


def find_rival(live: Mapping[str, Any] | None) -> str:
    """Return who wrote to the object last beside us, by the name that it gave itself."""
    entries = ((live or {}).get("metadata") or {}).get("managedFields") or ()
    others = [entry for entry in entries if entry.get("manager") != FIELD_MANAGER]
    if not others:
        return ""
    return str(max(others, key=lambda entry: str(entry.get("time", ""))).get("manager", ""))


def say_contest(what: str, contest: Contest) -> str:
    """Return what a person should know of it; the same words as long as it lasts."""
    rival = contest.rival or "somebody"
    return (
        f"{what}: {rival} undoes what this operator applies as often as it is applied, which is"
        f" done ever less often now; remedy: let {rival} leave it alone"
    )
