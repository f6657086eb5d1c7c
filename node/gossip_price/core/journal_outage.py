"""A journal that takes no records: nothing is signed meanwhile, and it is tried again and again."""

from __future__ import annotations

from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import JOURNAL_RETRY_MS


class JournalOutage:
    """Whether the journal fails, and when it is tried next (monotonic)."""

    def __init__(self, effects: StepEffects) -> None:
        self._effects = effects
        #: None while the journal works.
        self.retry_ms: int | None = None

    @property
    def is_under_way(self) -> bool:
        """The journal does not take records."""
        return self.retry_ms is not None

    def process_failed(self, reason: str, mono_ms: int) -> None:
        """A record was not taken."""
        if self.retry_ms is None:
            self._effects.note(NoteKind.JOURNAL_FAILED, reason=reason)
        self.retry_ms = mono_ms + JOURNAL_RETRY_MS

    def process_recovered(self) -> None:
        """A record was taken."""
        self.retry_ms = None
        self._effects.note(NoteKind.JOURNAL_RECOVERED)

    def take_retry(self, mono_ms: int) -> bool:
        """Tell whether a record is to be tried now; any does."""
        if self.retry_ms is None or mono_ms < self.retry_ms:
            return False
        self.retry_ms = mono_ms + JOURNAL_RETRY_MS
        return True
