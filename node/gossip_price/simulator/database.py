"""The table of prices as the world has it: ON CONFLICT DO NOTHING, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from gossip_price.core.types import StoredRow


class Table:
    """Rows by id. `up`, `poison` (ids that a constraint refuses) are the world's to set.

    Offers one statement, the insert: the write path has no other.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, StoredRow] = {}
        self.written_ms: dict[bytes, int] = {}
        self.statements = 0
        self.up = True
        self.poison: set[bytes] = set()
        self._backup: dict[bytes, StoredRow] = {}

    def insert(self, rows: Sequence[StoredRow], wall_ms: int) -> tuple[bytes, ...] | None:
        """Return the inserted ids, or None for a refused batch."""
        self.statements += 1
        if any(row.id in self.poison for row in rows):
            return None
        new = [row for row in rows if row.id not in self.rows]
        for row in new:
            self.rows[row.id] = row
            self.written_ms[row.id] = wall_ms
        return tuple(row.id for row in new)

    def back_up(self) -> None:
        """Keep the rows as they are now."""
        self._backup = dict(self.rows)

    def back_up_nothing(self) -> None:
        """Let the next restore be of an empty table: another database."""
        self._backup = {}

    def restore(self) -> tuple[bytes, ...]:
        """Put the backup in place; return the ids that are gone by it."""
        lost = tuple(id_ for id_ in self.rows if id_ not in self._backup)
        self.rows = dict(self._backup)
        return lost
