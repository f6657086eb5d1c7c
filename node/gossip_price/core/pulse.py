"""When our next heartbeat is due: soon while others may need it, seldom in quiet. Pure.

Knows times and how many members there are, not what a heartbeat says (docs/decisions/0006, 0016).
"""

from __future__ import annotations

from gossip_price.core.limits import HEARTBEAT_LOUD_MS, HEARTBEAT_MS
from gossip_price.core.presence import compute_heartbeat_interval_ms, compute_quiet_interval_ms
from gossip_price.core.rounds import compute_jitter_ms


class Pulse:
    """The times of our own heartbeats, monotonic milliseconds; the first comes soon."""

    def __init__(self, mono_ms: int) -> None:
        self._beat_ms = self._quiet_ms = mono_ms + HEARTBEAT_MS // 5
        self._loud_until_ms = mono_ms + HEARTBEAT_LOUD_MS
        #: A price came, or all have signed one, since our last: one is due for it, even if it
        #: settles before.
        self._is_owed = False

    def is_quiet(self, *, is_all_signed: bool) -> bool:
        """Tell whether others beat seldom too; `is_all_signed`: no report awaits signers."""
        return is_all_signed and not self._is_owed

    def get_deadline_ms(self, *, is_all_signed: bool) -> int:
        """Return when the next one is due."""
        quiet = self.is_quiet(is_all_signed=is_all_signed) and not self._is_loud()
        return self._quiet_ms if quiet else self._beat_ms

    def _is_loud(self) -> bool:
        return self._beat_ms <= self._loud_until_ms

    def process_beat(self, members: int, mono_ms: int) -> None:
        """One is sent now, in a network of so many."""
        self._is_owed = False
        self._beat_ms = mono_ms + compute_heartbeat_interval_ms(members)
        self._quiet_ms = mono_ms + compute_quiet_interval_ms(members)

    def hurry(self, mono_ms: int) -> None:
        """Let all know at once of what has changed, and again soon: one may be lost."""
        self._beat_ms = mono_ms
        self._loud_until_ms = mono_ms + HEARTBEAT_LOUD_MS

    def process_price(self, me: bytes, sequence: int, members: int, mono_ms: int) -> None:
        """A price has come, or all have signed it: beat once gossip has had its chance."""
        if not self._is_owed:
            self._is_owed = True
            self._beat_soon(me, sequence, members, mono_ms)

    def process_lack(self, me: bytes, sequence: int, members: int, mono_ms: int) -> None:
        """Somebody lacks what all have signed: beat for it once, though others may not."""
        if not self._is_owed and not self._is_loud():
            self._beat_soon(me, sequence, members, mono_ms)
            self._loud_until_ms = self._beat_ms

    def _beat_soon(self, me: bytes, sequence: int, members: int, mono_ms: int) -> None:
        """Beat within an interval, and not all at one moment."""
        interval_ms = compute_heartbeat_interval_ms(members)
        jitter_ms = compute_jitter_ms(me, sequence, interval_ms * 4 // 5)
        self._beat_ms = max(self._beat_ms, mono_ms + interval_ms // 5 + jitter_ms)
