"""The bounded bridge from the trio thread to the asyncio loop: newest dropped when full.

Knows neither loop: one side puts, the other takes in slices.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

#: At 25 messages a second this is 40 s of a blocked loop; anti-entropy heals what is dropped.
MESSAGES_MAX: Final = 1024
BYTES_MAX: Final = 64 * 1024 * 1024


class Inbox:
    """(author, data) pairs in order of arrival; thread-safe."""

    def __init__(self, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._lock = threading.Lock()
        self._items: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._awake = False

    def put(self, author: str, data: bytes) -> tuple[bool, bool]:
        """Add a message: (whether it was taken, whether the other side must be woken)."""
        with self._lock:
            if len(self._items) >= self._messages_max or self._bytes + len(data) > self._bytes_max:
                return False, False
            self._items.append((author, data))
            self._bytes += len(data)
            wake, self._awake = not self._awake, True
            return True, wake

    def take(self, count: int) -> tuple[list[tuple[str, bytes]], bool]:
        """Remove up to `count` messages: (them, whether more may wait; if not, sleep)."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
            self._bytes -= sum(len(data) for _, data in taken)
            self._awake = bool(self._items)
            return taken, self._awake
