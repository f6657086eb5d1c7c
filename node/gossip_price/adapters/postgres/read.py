"""Reading prices and epochs back, as claims: for verify and audits. Never on the write path.

Every value comes as bounded text or a number, whatever somebody put into the column, so that a
row that was tampered with is a false row and not a crash. Proves nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final

import asyncpg

from gossip_price.adapters.postgres.connection import Connection
from gossip_price.core.proof import ClaimedRow, parse_hash
from gossip_price.network.document import Document, DocumentError

#: Rows fetched at a time: at four members about 1 KB each, and never more than 70 KB.
BATCH_ROWS: Final = 500
#: 256 members' signatures as JSON text are 54 KB; what is longer is cut and then no JSON.
SIGN_DATA_MAX: Final = 65_536

# Oldest first, by the index on created_time. Cut to bounds in the database, so that a gigabyte
# in one column does not travel.
CLAIM: Final = f"""
       left(id, 80) AS id, left(price::text, 80) AS price, left(first_signer, 80) AS first_signer,
       left(sign_data::text, {SIGN_DATA_MAX}) AS sign_data, substr(report, 1, 257) AS report,
       left(epoch, 80) AS epoch, left(pair, 80) AS pair, round,
       left(extract(epoch FROM observed_time)::text, 80) AS observed_at, decimals
"""

#: A signature as JSON text has 220 characters; a roster has 256 members at most.
_LATE_ROWS_MAX: Final = 256

#: Signatures that came after the row of `prices AS p` was stored, as JSON text like sign_data.
LATE: Final = f"""
       (SELECT left(json_agg(json_build_object('signer', left(s.signer, 80),
                                               'signature', left(s.signature, 140)))::text,
                    {SIGN_DATA_MAX})
        FROM (SELECT signer, signature FROM signatures WHERE signatures.id = p.id
              ORDER BY signer LIMIT {_LATE_ROWS_MAX}) AS s)
"""  # noqa: S608  the numbers in it are ours

_ROWS: Final = f"""
SELECT {CLAIM}
FROM prices
WHERE $1::bigint IS NULL OR round >= $1
ORDER BY created_time, id
"""  # noqa: S608  the one number in it is ours

_DOCUMENTS: Final = "SELECT left(hash, 80) AS hash, document FROM epochs ORDER BY epoch, hash"


async def read_rows(
    connection: Connection, *, since: datetime | None = None
) -> AsyncGenerator[ClaimedRow]:
    """Give every row, oldest insert first, through a server-side cursor.

    `since` leaves out rounds that began before it, by the row's own word. The caller holds a
    transaction open (repeatable read gives one moment's picture).
    """
    # A round is its start, so the first round in question begins at or after `since`.
    first = None if since is None else math.ceil(since.timestamp())
    async for record in connection.cursor(_ROWS, first, prefetch=BATCH_ROWS):
        yield to_claim(record)


async def read_epochs(connection: Connection) -> tuple[list[Document], dict[str, str]]:
    """Return the documents that are what their hash says, and the reason for each that is not."""
    documents: list[Document] = []
    broken: dict[str, str] = {}
    async for record in connection.cursor(_DOCUMENTS, prefetch=50):
        try:
            document = Document.parse(record["document"])
            if parse_hash(record["hash"]) != document.hash:
                raise DocumentError(f"its content's hash is 0x{document.hash.hex()}")
        except (DocumentError, ValueError) as error:
            broken[record["hash"]] = str(error)[:300]
        else:
            documents.append(document)
    return documents, broken


def to_claim(record: asyncpg.Record) -> ClaimedRow:
    """Return what the columns of `CLAIM` claim."""
    return ClaimedRow(
        id=record["id"],
        price=record["price"],
        first_signer=record["first_signer"],
        signatures=record["sign_data"],
        report=record["report"],
        epoch=record["epoch"],
        pair=record["pair"],
        round=record["round"],
        observed_at=record["observed_at"],
        decimals=record["decimals"],
    )
