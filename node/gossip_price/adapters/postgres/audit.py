"""The audit's statements: pages of claims, false rows into quarantine, late signatures.

Each is bounded by what is asked for, by a deadline, and reads by an index. Proves nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from gossip_price.adapters.postgres.connection import Connection
from gossip_price.adapters.postgres.insert import INSERT_PRICES, to_columns
from gossip_price.adapters.postgres.read import CLAIM, LATE, to_claim
from gossip_price.core.rows import Correction, FoundRow, LateSignature, RowRange
from gossip_price.network.keys import format_address

# A row's version is where its tuple lies and who wrote it: any change of it is another one.
_FOUND: Final = f"""
SELECT {CLAIM}, p.ctid::text || ' ' || p.xmin::text AS version, {LATE} AS late
FROM prices AS p
"""  # noqa: S608  the numbers in it are ours

# COLLATE "C": by bytes, as the journal and the index prices_round_id have it. The pattern leaves
# out ids that are none, which only who drops the table's checks can put there.
_READ_RANGE: Final = f"""
{_FOUND}
WHERE (p.round, p.id COLLATE "C") > ($1, $2)
  AND ($3::bigint IS NULL OR (p.round, p.id COLLATE "C") <= ($3, $4))
  AND p.id ~ '^0x[0-9a-f]{{64}}$'
ORDER BY p.round, p.id COLLATE "C"
LIMIT $5
"""

_READ_IDS: Final = f"""
{_FOUND}
WHERE p.id = ANY ($1::text[])
"""

# FOR UPDATE in the order of ids: two members that correct the same rows wait for each other
# instead of deadlocking, and the second one finds other versions, which it does not touch.
_QUARANTINE: Final = """
WITH given AS (
    SELECT *
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS given (id, version, reason, by)
), chosen AS (
    SELECT p.id, given.reason, given.by
    FROM prices AS p JOIN given
      ON given.id = p.id AND given.version = p.ctid::text || ' ' || p.xmin::text
    ORDER BY p.id COLLATE "C"
    FOR UPDATE OF p
), moved AS (
    DELETE FROM prices AS p USING chosen WHERE p.id = chosen.id
    RETURNING p.id, to_jsonb(p) AS found, chosen.reason, chosen.by
)
INSERT INTO quarantine (id, found, reason, moved_by)
SELECT id, found, reason, by FROM moved
RETURNING id
"""

_INSERT_SIGNATURES: Final = """
INSERT INTO signatures (id, signer, signature)
SELECT id, signer, signature
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (id, signer, signature)
ORDER BY id COLLATE "C", signer COLLATE "C"
ON CONFLICT (id, signer) DO NOTHING
RETURNING id
"""


async def read_rows(
    connection: Connection, wanted: RowRange | Sequence[bytes], deadline_s: float
) -> tuple[FoundRow, ...]:
    """Return the rows of a range, by key, or those under these ids. Raises READ_TROUBLE's."""
    if isinstance(wanted, RowRange):
        round_, id_ = wanted.after
        until_round, until_id = wanted.until or (None, b"")
        records = await connection.fetch(
            _READ_RANGE, round_, _to_text(id_), until_round, _to_text(until_id), wanted.limit,
            timeout=deadline_s,
        )  # fmt: skip
    else:
        ids = [_to_text(id_) for id_ in wanted]
        records = await connection.fetch(_READ_IDS, ids, timeout=deadline_s)
    return tuple(_to_found(record) for record in records)


async def correct(
    connection: Connection, corrections: Sequence[Correction]
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Move false rows away and put the true ones there, or change nothing. Raises TROUBLE's."""
    truths = {one.truth.id: one.truth for one in corrections if one.truth is not None}
    async with connection.transaction():
        moved = await connection.fetch(
            _QUARANTINE,
            [_to_text(one.id) for one in corrections],
            [one.version for one in corrections],
            [one.reason for one in corrections],
            [format_address(one.by) for one in corrections],
        )
        inserted: list[asyncpg.Record] = []
        if truths:
            inserted = await connection.fetch(INSERT_PRICES, *to_columns(list(truths.values())))
    return _to_ids(moved), _to_ids(inserted)


async def add_signatures(connection: Connection, late: Sequence[LateSignature]) -> int:
    """Insert those that are not there; return how many those are. Raises TROUBLE's."""
    inserted = await connection.fetch(
        _INSERT_SIGNATURES,
        [_to_text(one.id) for one in late],
        [format_address(one.signer) for one in late],
        [_to_text(one.signature) for one in late],
    )
    return len(inserted)


def _to_found(record: asyncpg.Record) -> FoundRow:
    claim = to_claim(record)
    return FoundRow(bytes.fromhex(claim.id[2:]), claim, record["late"], record["version"])


def _to_ids(records: Sequence[asyncpg.Record]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(record["id"][2:]) for record in records)


def _to_text(value: bytes) -> str:
    return "0x" + value.hex()
