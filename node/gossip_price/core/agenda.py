"""When there is something to do again, if nothing happens before.

Most of what a node hears changes nothing; only who changes something says here that it is worth a
look. Knows times, not what is looked at.
"""

from __future__ import annotations

from typing import Final

#: Later than any clock says.
_NEVER_MS: Final = 2**63


class Agenda:
    """Times that may be looked for anew at any moment: 0 is now.

    Rounds are looked at from the wall time `round_due_ms` on, and nothing at all is due before the
    monotonic time `due_ms`; 0 when something has happened since that may have changed it.
    """

    __slots__ = ("due_ms", "is_done", "round_due_ms")

    def __init__(self) -> None:
        self.round_due_ms = self.due_ms = 0
        #: All that was due is done: when there is something again has still to be asked for.
        self.is_done = False

    def look_again(self) -> None:
        """Something is due now, or sooner than was thought."""
        self.due_ms = 0

    def expect(self, mono_ms: int | None) -> None:
        """Something is due then (monotonic; None: never), besides what was thought."""
        if mono_ms is not None:
            self.due_ms = min(self.due_ms, mono_ms)

    def take_due(self, mono_ms: int) -> bool:
        """Tell whether something is due; whoever asks does it."""
        if mono_ms < self.due_ms:
            return False
        self.due_ms, self.is_done = _NEVER_MS, True
        return True

    def look_at_rounds(self) -> None:
        """Something has changed that may let a round go on."""
        self.round_due_ms = self.due_ms = 0
