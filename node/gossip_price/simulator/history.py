"""The hash of a history: two runs with the same one did the same, byte for byte, in order."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from gossip_price.simulator.facts import Law, Moment, Row, Told, Watcher

_encode = msgspec.msgpack.Encoder().encode


class History(Watcher):
    """Takes down all that happens, in its order, into one hash."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.events = 0

    def get_hash(self) -> str:
        """Return the hash of all that happened so far, 32 hex digits."""
        return self._hash.hexdigest()

    def _add(self, at: Moment, node: int, *what: object) -> None:
        self.events += 1
        self._hash.update(_encode((at, node, what)))

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._add(at, node, "began", lost_volume)

    def ended(self, at: Moment, node: int) -> None:
        self._add(at, node, "ended")

    def turned(self, at: Moment, node: int) -> None:
        self._add(at, node)

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        self._add(at, node, "heard", author, data)

    def signed(self, at: Moment, node: int, digest: bytes) -> None:
        self._add(at, node, "signed", digest)

    def published(self, at: Moment, node: int, data: bytes) -> None:
        self._add(at, node, "published", data)

    def penalized(self, at: Moment, node: int, author: str, reason: str) -> None:
        self._add(at, node, "penalized", author, reason)

    def told(self, at: Moment, node: int, told: Told) -> None:
        self._add(at, node, told)

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self._add(at, node, "write", rows)

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self._add(at, node, "inserted", tuple(row.id for row in rows))

    def enacted(self, at: Moment, law: Law) -> None:
        self._add(at, -1, "enacted", law.epoch)

    def removed(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        self._add(at, -1, "removed", ids)

    def audited(self, at: Moment, node: int, count: int, *, is_writing: bool) -> None:
        self._add(at, node, "audited", count)

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        self._add(at, node, "corrected", moved, put)

    def falsified(self, at: Moment, id_: bytes, *, is_foreign: bool) -> None:
        self._add(at, -1, "falsified", id_, is_foreign)

    def restored(self, at: Moment, true: tuple[bytes, ...], false: tuple[bytes, ...]) -> None:
        self._add(at, -1, "restored", true, false)
