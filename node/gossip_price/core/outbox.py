"""What is to be sent, waiting a little for company: a message is dear, an entry is cheap.

The wait is tens of milliseconds in a quiet network and grows with the messages heard and sent,
up to two seconds; settling takes thirty, so nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gossip_price.core.limits import (
    ENTRIES_MAX,
    LINGER_FULL_RATE,
    LINGER_MAX_MS,
    LINGER_MIN_MS,
    MESSAGE_BYTES_MAX,
)
from gossip_price.core.types import Entry
from gossip_price.core.wire import WIRE_VERSION, Envelope, Heartbeat, Receipt

#: Room for receipts, heartbeats and framing beside the entries.
_ENTRY_BYTES_MAX = MESSAGE_BYTES_MAX // 2
_SAYINGS_MAX = 16


class Outbox:
    """Ids of entries to send, receipts, and at most one heartbeat; when they leave."""

    def __init__(self) -> None:
        self._ids: dict[bytes, None] = {}
        self._receipts: list[Receipt] = []
        self._heartbeat: Heartbeat | None = None
        self.deadline_ms: int | None = None
        #: The second of which the messages are counted, and when it ends.
        self._second = -1
        self._ends_ms = 0
        self._count = 0
        self._count_before = 0

    def count_message(self, mono_ms: int) -> None:
        """Take note that a message was heard or sent."""
        if mono_ms >= self._ends_ms:
            self._roll(mono_ms)
        self._count += 1

    def add_entry(self, id_: bytes, mono_ms: int) -> None:
        """Send the entry with this id, with the signatures it will have by then."""
        self._ids[id_] = None
        self._set_deadline(mono_ms + self.compute_linger_ms(mono_ms))

    def add_receipt(self, receipt: Receipt, mono_ms: int) -> None:
        """Send a receipt."""
        self._receipts.append(receipt)
        self._set_deadline(mono_ms + self.compute_linger_ms(mono_ms))

    def add_heartbeat(self, heartbeat: Heartbeat, mono_ms: int) -> None:
        """Send a heartbeat with what waits already, or at once: it comes seldom, and alone."""
        self._heartbeat = heartbeat
        if self.deadline_ms is None:
            self.deadline_ms = mono_ms

    def is_due(self, mono_ms: int) -> bool:
        """Tell whether what waits leaves now."""
        return self.deadline_ms is not None and mono_ms >= self.deadline_ms

    def hurry(self, mono_ms: int) -> None:
        """Let everything leave now."""
        if self._ids or self._receipts or self._heartbeat:
            self._set_deadline(mono_ms)

    def compute_linger_ms(self, mono_ms: int) -> int:
        """Return how long what comes now shall wait for company."""
        self._roll(mono_ms)
        rate = min(LINGER_FULL_RATE, max(self._count, self._count_before))
        return LINGER_MIN_MS + (LINGER_MAX_MS - LINGER_MIN_MS) * rate // LINGER_FULL_RATE

    def drain(self, get_entry: Callable[[bytes], Entry | None]) -> Iterator[Envelope]:
        """Yield the envelopes to send now and be empty. Entries that are gone are left out."""
        entries: list[Entry] = []
        size = 0
        receipts = [
            tuple(self._receipts[start : start + _SAYINGS_MAX])
            for start in range(0, len(self._receipts), _SAYINGS_MAX)
        ]
        heartbeats = () if self._heartbeat is None else (self._heartbeat,)
        ids, self._ids, self._receipts, self._heartbeat = self._ids, {}, [], None
        self.deadline_ms = None
        for id_ in ids:
            entry = get_entry(id_)
            if entry is None:
                continue
            length = len(msgspec.msgpack.encode(entry))
            if entries and (size + length > _ENTRY_BYTES_MAX or len(entries) >= ENTRIES_MAX):
                yield Envelope(WIRE_VERSION, tuple(entries))
                entries, size = [], 0
            entries.append(entry)
            size += length
        while entries or receipts or heartbeats:
            batch = receipts.pop(0) if receipts else ()
            yield Envelope(WIRE_VERSION, tuple(entries), batch, heartbeats)
            entries, heartbeats = [], ()

    def _set_deadline(self, mono_ms: int) -> None:
        if self.deadline_ms is None or mono_ms < self.deadline_ms:
            self.deadline_ms = mono_ms

    def _roll(self, mono_ms: int) -> None:
        second = mono_ms // 1000
        if second != self._second:
            self._count_before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
            self._ends_ms = (second + 1) * 1000
