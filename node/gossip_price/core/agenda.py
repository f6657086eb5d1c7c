"""When there is something to do again, if nothing happens before.

Most of what a node hears changes nothing; only who changes something says here that it is worth a
look. Knows times, not what is looked at.
"""

from __future__ import annotations


class Agenda:
    """Times that may be looked for anew at any moment: 0 is now.

    Rounds are looked at from the wall time `round_due_ms` on, and nothing at all is due before the
    monotonic time `due_ms`; 0 when something has happened since that may have changed it.
    """

    __slots__ = ("due_ms", "round_due_ms")

    def __init__(self) -> None:
        self.round_due_ms = self.due_ms = 0

    def look_again(self) -> None:
        """Something is due now, or sooner than was thought."""
        self.due_ms = 0

    def look_at_rounds(self) -> None:
        """Something has changed that may let a round go on."""
        self.round_due_ms = self.due_ms = 0
