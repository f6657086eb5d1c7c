"""Being seen alive: when our own heartbeat is due, what it says of us, and who else may write.

What it says of reports comes from those who know them.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip_price.core import events as ev
from gossip_price.core.calendar import Calendar
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.presence import Presence
from gossip_price.core.pulse import Pulse
from gossip_price.core.types import Now
from gossip_price.core.wire import NO_STORE, UNSIGNED, VERSION_CHARS_MAX, Heartbeat
from gossip_price.network.document import Document


class Beating:
    """Our own heartbeats. `me` is our address, `boot_ms` the wall time of this process's start."""

    def __init__(
        self,
        *,
        me: bytes,
        boot_ms: int,
        version: str,
        remembered: ev.Recollection,
        calendar: Calendar,
        presence: Presence,
        now: Now,
    ) -> None:
        self._me = me
        # A clock set back since an earlier life must not make our heartbeats look like replays.
        highest = remembered.highest_round
        is_behind = boot_ms < highest * 1000
        entered_s = highest + calendar.chain.get_current(highest).interval
        self._boot_ms = entered_s * 1000 if is_behind else max(0, boot_ms)
        self._version = version[:VERSION_CHARS_MAX]
        self._calendar = calendar
        self._presence = presence
        self._pulse = Pulse(now.mono_ms)
        self._is_leaving = False
        #: The number of our newest heartbeat.
        self.sequence = 0

    def hurry(self, mono_ms: int) -> None:
        """Let all know at once of what has changed."""
        self._pulse.hurry(mono_ms)

    def leave(self) -> None:
        """We are on the way out: say nothing more."""
        self._is_leaving = True

    def process_price(self, now: Now, *, is_first: bool) -> None:
        """A price is under way; `is_first`: no other awaits signers."""
        self._presence.process_price()
        if is_first:
            self.owe(now)

    def owe(self, now: Now) -> None:
        """Others are to hear of a price soon: it has come, or all have signed it."""
        members = len(self._calendar.get_current(now).members)
        self._pulse.process_price(self._me, self.sequence, members, now.mono_ms)

    def process_lack(self, now: Now) -> None:
        """Somebody lacks what all have signed: name it again."""
        members = len(self._calendar.get_current(now).members)
        self._pulse.process_lack(self._me, self.sequence, members, now.mono_ms)

    def get_deadline_ms(self, *, is_all_signed: bool) -> int:
        """Return when the next one is due; `is_all_signed`: no report awaits further signers."""
        return self._pulse.get_deadline_ms(is_all_signed=is_all_signed)

    def begin(self, now: Now, *, is_all_signed: bool) -> Document | None:
        """Beat, if it is time to; return the epoch in which we have something to say, if any."""
        if now.mono_ms < self._pulse.get_deadline_ms(is_all_signed=is_all_signed):
            return None
        live = self._calendar.chain.list_live(now.wall_ms // 1000)
        members = len(live[0].members)
        is_quiet = self._pulse.is_quiet(is_all_signed=is_all_signed)
        self._presence.process_beat(members, now.mono_ms, is_quiet=is_quiet)
        self._pulse.process_beat(members, now.mono_ms)
        # One that was removed is heard until what it knows has settled: it may know more.
        document = next(
            (d for d in live if d.epoch <= live[0].epoch and self._me in d.index_by_address), None
        )
        if document is None or not self._calendar.knows_rules(document) or self._is_leaving:
            return None
        self.sequence += 1
        return document

    def make_heartbeat(
        self, document: Document, store: bytes | None, open_: bytes, roots: bytes, now: Now
    ) -> Heartbeat:
        """Return the heartbeat that was begun: `open_` and `roots` as it carries them, unsigned."""
        return Heartbeat(
            self._me,
            self._boot_ms,
            self.sequence,
            document.hash,
            max(0, now.wall_ms),
            store or NO_STORE,
            self._version,
            *self._presence.make_testimony(document),
            open_,
            roots,
            UNSIGNED,
        )

    def get_writers(self, store: bytes, mono_ms: int, among: Iterable[bytes]) -> list[bytes]:
        """Return which of these members have heartbeats, still fresh, that name this store."""
        document = self._calendar.get_current_then(mono_ms)
        return self._presence.get_writers(document, store, mono_ms, among)

    def describe(self, store: bytes | None, now: Now) -> MemberPresence:
        """Return what only we know of ourselves."""
        return MemberPresence(
            self._me,
            received=now,
            boot=self._boot_ms,
            sequence=self.sequence,
            version=self._version,
            store=store,
            clock_ms=now.wall_ms,
        )
