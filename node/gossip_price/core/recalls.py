"""What is asked of our own journal: memory holds only the newest of what was proven.

The answer comes in the same turn, under a token that says what it was wanted for.
"""

from __future__ import annotations

from typing import NamedTuple

from gossip_price.core import events as ev
from gossip_price.core.effects import StepEffects
from gossip_price.core.types import Signature


class Late(NamedTuple):
    """New signers of a proven id that only the journal holds whole."""

    signatures: tuple[Signature, ...]


class Reply(NamedTuple):
    """A peer's question, some of whose ids only the journal holds."""

    token: int
    peer: str
    ids: tuple[bytes, ...]


class Recalls:
    """Recalls under way, by token."""

    def __init__(self, effects: StepEffects) -> None:
        self._effects = effects
        self._wanted: dict[int, Late | Reply] = {}
        self._token = 0

    def begin(self, ids: tuple[bytes, ...], what_for: Late | Reply) -> None:
        """Ask the journal for these ids."""
        self._token += 1
        self._wanted[self._token] = what_for
        self._effects.append(ev.Recall(self._token, ids))

    def take(self, token: int) -> Late | Reply | None:
        """Return what this answer was wanted for; None if it is not ours."""
        return self._wanted.pop(token, None)
