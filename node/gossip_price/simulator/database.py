"""The tables as the world has them: ON CONFLICT DO NOTHING, and what goes wrong with them.

Offers the node's statements (insert, read, correct, add signatures) and what somebody with the
password can do beside them.
"""

from __future__ import annotations

import json
from bisect import bisect_right, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from gossip_price.core.proof import ClaimedRow
from gossip_price.core.rows import Correction, FoundRow, Key, LateSignature, RowRange
from gossip_price.core.types import StoredRow
from gossip_price.network.keys import format_address


class _State(NamedTuple):
    """What a backup holds: rows as nodes wrote them, rows that somebody falsified, late ones."""

    rows: dict[bytes, StoredRow]
    false: dict[bytes, ClaimedRow]
    late: dict[bytes, dict[bytes, bytes]]


class Table:
    """Rows by id. `up`, `poison` (ids that a constraint refuses) are the world's to set.

    An id is in `rows` as it was inserted, or in `false` since somebody took or changed its row.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, StoredRow] = {}
        self.false: dict[bytes, ClaimedRow] = {}
        self.late: dict[bytes, dict[bytes, bytes]] = {}
        self.quarantine: list[tuple[bytes, ClaimedRow, str]] = []
        self.written_ms: dict[bytes, int] = {}
        self.statements = 0
        self.up = True
        self.poison: set[bytes] = set()
        self._backup = _State({}, {}, {})
        #: (round, id) of all rows, in order: the index that the audit reads by.
        self._keys: list[Key] = []
        self._versions: dict[bytes, int] = {}
        self._claims: dict[bytes, ClaimedRow] = {}

    # --- what nodes ask -----------------------------------------------------------------------

    def insert(self, rows: Sequence[StoredRow], wall_ms: int) -> tuple[bytes, ...] | None:
        """Return the inserted ids, or None for a refused batch."""
        self.statements += 1
        return self._insert(rows, wall_ms)

    def read(self, wanted: RowRange | Sequence[bytes]) -> tuple[FoundRow, ...]:
        """Return the rows of a range by key, or those under these ids."""
        if not isinstance(wanted, RowRange):
            return tuple(self._find(id_) for id_ in wanted if id_ in self)
        start = bisect_right(self._keys, wanted.after)
        end = len(self._keys)
        if wanted.until is not None:
            end = bisect_right(self._keys, wanted.until)
        keys = self._keys[start : min(end, start + wanted.limit)]
        return tuple(self._find(id_) for _, id_ in keys)

    def correct(
        self, corrections: Sequence[Correction], wall_ms: int
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
        """Return the moved ids and the inserted ones, or None for a refused transaction."""
        truths = [one.truth for one in corrections if one.truth is not None]
        if any(truth.id in self.poison for truth in truths):
            return None
        moved = []
        for one in corrections:
            if one.id in self and one.version == self._get_version(one.id):
                self.quarantine.append((one.id, self._find(one.id).claim, one.reason))
                self.remove(one.id)
                moved.append(one.id)
        return tuple(moved), self._insert(truths, wall_ms) or ()

    def add_signatures(self, late: Sequence[LateSignature]) -> int:
        """Return how many were not there before."""
        count = 0
        for one in late:
            known = self.late.setdefault(one.id, {})
            count += one.signer not in known
            known.setdefault(one.signer, one.signature)
        return count

    def _insert(self, rows: Sequence[StoredRow], wall_ms: int) -> tuple[bytes, ...] | None:
        if any(row.id in self.poison for row in rows):
            return None
        new = [row for row in rows if row.id not in self]
        for row in new:
            self.rows[row.id] = row
            self.written_ms[row.id] = wall_ms
            insort(self._keys, (row.report.round, row.id))
        return tuple(row.id for row in new)

    # --- what somebody with the password does -------------------------------------------------

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self.rows or id_ in self.false

    def put_false(self, id_: bytes, claim: ClaimedRow) -> None:
        """Let this stand under the id, whatever stood there."""
        if id_ in self:
            self.remove(id_)
        self.false[id_] = claim
        insort(self._keys, (claim.round or 0, id_))

    def remove(self, id_: bytes) -> None:
        """Delete the row."""
        claim = self._find(id_).claim
        self._keys.remove((claim.round or 0, id_))
        self.rows.pop(id_, None)
        self.false.pop(id_, None)
        self._claims.pop(id_, None)
        self._versions[id_] = self._versions.get(id_, 0) + 1

    # --- backups ------------------------------------------------------------------------------

    def back_up(self) -> None:
        """Keep everything as it is now."""
        late = {id_: dict(signers) for id_, signers in self.late.items()}
        self._backup = _State(dict(self.rows), dict(self.false), late)

    def back_up_nothing(self) -> None:
        """Let the next restore be of an empty table: another database."""
        self._backup = _State({}, {}, {})

    def restore(self) -> None:
        """Put the backup in place."""
        self.rows, self.false = dict(self._backup.rows), dict(self._backup.false)
        self.late = {id_: dict(signers) for id_, signers in self._backup.late.items()}
        self._claims.clear()
        self._keys = sorted(
            [(row.report.round, id_) for id_, row in self.rows.items()]
            + [(claim.round or 0, id_) for id_, claim in self.false.items()]
        )

    def _get_version(self, id_: bytes) -> str:
        return str(self._versions.get(id_, 0))

    def _find(self, id_: bytes) -> FoundRow:
        claim = self.false.get(id_) or self._claims.get(id_)
        if claim is None:
            claim = self._claims[id_] = make_claim(self.rows[id_])
        late = self.late.get(id_)
        text = _format_signatures(sorted(late.items())) if late else None
        return FoundRow(id_, claim, text, self._get_version(id_))


def make_claim(row: StoredRow) -> ClaimedRow:
    """Return a row's columns as they are read back."""
    report = row.report
    return ClaimedRow(
        id="0x" + row.id.hex(),
        price=f"{Decimal(report.price).scaleb(-report.decimals):f}",
        first_signer=format_address(report.proposer),
        signatures=_format_signatures(row.signatures),
        report=report.encode(),
        epoch="0x" + report.epoch.hex(),
        pair=report.pair,
        round=report.round,
        observed_at=f"{report.observed_at}.000000",
        decimals=report.decimals,
    )


def _format_signatures(signatures: Sequence[tuple[bytes, bytes]]) -> str:
    return json.dumps(
        [
            {"signer": format_address(signer), "signature": "0x" + signature.hex()}
            for signer, signature in signatures
        ]
    )
