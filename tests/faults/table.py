"""The table as Postgres holds it, read by SQL into what checkers know: rows with signatures."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import asyncpg

from gossip_price.simulator.facts import Claim, Row


class TableRow(NamedTuple):
    """A row, who wrote it by its own word, and its plain columns beside the signed bytes."""

    row: Row
    writer: bytes
    price: str
    pair: str
    round: int
    epoch: bytes
    first_signer: bytes
    report: bytes
    observed_at: int
    decimals: int


_ROWS = """
SELECT id, report, pair, sign_data::text AS sign_data, writer, price::text AS price, round,
       epoch, first_signer, extract(epoch FROM observed_time)::bigint AS observed_at, decimals
FROM prices ORDER BY round, id
"""


def read_table(url: str, *tampering: str) -> list[TableRow]:
    """Return every row, by round; as it would be after these statements, which leave no trace."""

    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            transaction = connection.transaction()
            await transaction.start()
            for statement in tampering:
                await connection.execute(statement)
            rows: list[asyncpg.Record] = await connection.fetch(_ROWS)
            await transaction.rollback()
            return rows
        finally:
            await connection.close()

    return [_to_table_row(record) for record in asyncio.run(read())]


def read_quarantine(url: str) -> list[str]:
    """Return each row in quarantine, with the reason and who moved it, as a line for people."""

    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(
                "SELECT id, reason, moved_by, found::text AS found FROM quarantine ORDER BY number"
            )
            return rows
        finally:
            await connection.close()

    return [
        f"{row['id']} by {row['moved_by']}: {row['reason']}: {row['found']}"
        for row in asyncio.run(read())
    ]


def execute(url: str, *statements: str) -> None:
    """Run statements as somebody with the password would."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def _to_table_row(record: asyncpg.Record) -> TableRow:
    words = [record["report"][start : start + 32] for start in range(0, 256, 32)]
    # typeHash, epoch, keccak(pair), round, price, decimals, observedAt, proposer.
    round_, price, decimals, observed_at = (int.from_bytes(word, "big") for word in words[3:7])
    claim = Claim(words[1], record["pair"], round_, price, decimals, observed_at, words[7][12:])
    signatures = tuple(
        (_unhex(each["signer"]), _unhex(each["signature"]))
        for each in json.loads(record["sign_data"])
    )
    return TableRow(
        Row(_unhex(record["id"]), claim, signatures),
        _unhex(record["writer"] or "0x"),
        record["price"],
        record["pair"],
        record["round"],
        _unhex(record["epoch"]),
        _unhex(record["first_signer"]),
        record["report"],
        record["observed_at"],
        record["decimals"],
    )


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
