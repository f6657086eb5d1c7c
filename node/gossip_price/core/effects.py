"""What the step under way has decided so far, in order.

Everybody who decides appends here, so that effects leave in the order of the decisions: a vote's
record before its signature. Knows how to word what is told, and nothing of why.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip_price.core import events as ev
from gossip_price.core.events import Effect, Note, NoteKind, Record
from gossip_price.core.quorum import Tally


class StepEffects:
    """The effects of one step; empty between steps."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    def append(self, effect: Effect) -> None:
        """Let this be done after all that was decided before."""
        self._effects.append(effect)

    def extend(self, effects: Iterable[Effect]) -> None:
        """Let these be done, in their order."""
        self._effects.extend(effects)

    def remember(self, record: Record) -> None:
        """Let the journal keep this."""
        self._effects.append(ev.Remember(record))

    def note(self, kind: NoteKind, **fields: object) -> None:
        """Tell of something that decides nothing; `fields` are those of `events.Note`."""
        self._effects.append(Note(kind, **fields))  # type: ignore[arg-type]  # Note's own fields

    def note_tally(
        self,
        kind: NoteKind,
        tally: Tally,
        *,
        member: bytes = b"",
        count: int | None = None,
        ms: int = 0,
        reason: str = "",
        author: str = "",
    ) -> None:
        """Tell of something that happened to a report; `count`: all its signers if not given."""
        report = tally.report
        self._effects.append(
            Note(
                kind,
                pair=report.pair,
                round=report.round,
                id=tally.id,
                member=member,
                proposer=report.proposer,
                price=report.price,
                decimals=report.decimals,
                count=len(tally.signatures) if count is None else count,
                needed=tally.document.minimum_signers,
                ms=ms,
                reason=reason,
                author=author,
            )
        )

    def take(self) -> list[Effect]:
        """Return what the step has decided, and be empty for the next one."""
        effects, self._effects = self._effects, []
        return effects
