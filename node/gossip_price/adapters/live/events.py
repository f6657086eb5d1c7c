"""A ring of the newest events, ready to be sent, and those who wait for the next one.

Nobody's queue: each listener has only its place in the ring, so that two hundred cost no more
memory than one. Who falls behind by the whole ring has lost its place. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec

#: Events kept for those who come back. Of four members and one pair at 15 s, nine a round, it is
#: about an hour; of 64 members ten minutes. At some 300 bytes an event, 0.6 MB.
EVENTS_MAX: Final = 2_048
#: Listeners at once: a screen for each member of the largest network. Each costs a task and a
#: connection (docs/api.md has the figures); beyond it one is told to come back.
LISTENERS_MAX: Final = 256


class TooManyListenersError(Exception):
    """LISTENERS_MAX are listening."""


class Listener:
    """Somebody's place in the ring. `wait` until there is something, `take` it."""

    def __init__(self, ring: EventRing, after: int) -> None:
        self._ring = ring
        self._after = after
        self.news = asyncio.Event()
        if after < ring.last:
            self.news.set()

    def take(self) -> bytes | None:
        """Return all events since the last time, None if the ring has lost some of them."""
        self.news.clear()
        found = self._ring.read(self._after)
        self._after = self._ring.last
        return found


class EventRing:
    """Events as server-sent ones. `boot_ms` tells this process's numbers from another's."""

    def __init__(self, boot_ms: int, *, size: int = EVENTS_MAX) -> None:
        self._boot_ms = boot_ms
        self._events: deque[bytes] = deque(maxlen=size)
        self._listeners: set[Listener] = set()
        self.last = 0
        self.is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def place(self) -> str:
        """The newest event's id; as `Last-Event-ID` it asks for what comes after."""
        return f"{self._boot_ms}-{self.last}"

    @property
    def first(self) -> int:
        """The number of the oldest event that is still here."""
        return self.last - len(self._events) + 1

    def append(self, name: str, data: Mapping[str, Any]) -> None:
        """Add an event and wake everybody."""
        self.last += 1
        self._events.append(self.encode(name, data))
        for listener in self._listeners:
            listener.news.set()

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Return an event as it is sent, numbered as the newest."""
        head = f"id: {self.place}\nevent: {name}\ndata: ".encode()
        return head + msgspec.json.encode(data) + b"\n\n"

    def find_place(self, last_event_id: str) -> int | None:
        """Return the number after which to go on; None if not all after it is here any more.

        Raises ValueError for what is no id of an event.
        """
        boot, dash, number = last_event_id.partition("-")
        digits = (boot + number).isascii() and boot.isdigit() and number.isdigit()
        if not dash or not digits or len(last_event_id) > 40:
            raise ValueError("<boot>-<number>, as it stood in an event's id")
        after = int(number)
        known = int(boot) == self._boot_ms and self.first - 1 <= after <= self.last
        return after if known else None

    def join(self, after: int | None = None) -> Listener:
        """Return a new listener, for what comes now or after a number. Raises TooManyListeners."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise TooManyListenersError(f"{LISTENERS_MAX} listen already")
        listener = Listener(self, self.last if after is None else after)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def read(self, after: int) -> bytes | None:
        """Return the events after this number, joined; None if some of them are gone."""
        if after < self.first - 1:
            return None
        skipped = after - self.first + 1
        return b"".join(event for place, event in enumerate(self._events) if place >= skipped)

    def close(self) -> None:
        """Let every listener go: the process is leaving."""
        self.is_closed = True
        for listener in self._listeners:
            listener.news.set()
