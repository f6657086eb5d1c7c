"""A batch of prices as one INSERT, and its values as Postgres reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from gossip_price.core.types import StoredRow
from gossip_price.network.keys import format_address

# All parameters are text[]: asyncpg knows that type by heart, and asks the catalogue (with a
# SELECT, on each new connection) about other arrays. The server casts exactly.
# By id, so that two writers of the same rows lock them in the same order and never deadlock.
INSERT_PRICES: Final = """
INSERT INTO prices (id, price, first_signer, sign_data, lastsigned_time, report, epoch, pair,
                    round, observed_time, decimals, source, spread_bp, writer)
SELECT id, price::numeric, first_signer, sign_data::jsonb, lastsigned_time::timestamptz,
       decode(report, 'hex'), epoch, pair, round::bigint, observed_time::timestamptz,
       decimals::smallint, source::jsonb, spread_bp::integer, writer
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
            $14::text[])
     AS given (id, price, first_signer, sign_data, lastsigned_time, report, epoch, pair,
               round, observed_time, decimals, source, spread_bp, writer)
ORDER BY id COLLATE "C"
ON CONFLICT (id) DO NOTHING
RETURNING id
"""


def to_columns(rows: Sequence[StoredRow]) -> list[list[str | None]]:
    """Return the INSERT's parameters: one list a column, rows by id."""
    ordered = sorted(rows, key=lambda row: row.id)
    return [list(column) for column in zip(*map(_to_values, ordered), strict=True)]


def _to_values(row: StoredRow) -> tuple[str | None, ...]:
    report = row.report
    signatures = [
        {"signer": format_address(signer), "signature": "0x" + signature.hex()}
        for signer, signature in row.signatures
    ]
    return (
        "0x" + row.id.hex(),
        f"{Decimal(report.price).scaleb(-report.decimals):f}",
        format_address(report.proposer),
        json.dumps(signatures),
        format_time(row.last_signed_ms),
        report.encode().hex(),
        "0x" + report.epoch.hex(),
        report.pair,
        str(report.round),
        format_time(report.observed_at * 1000),
        str(report.decimals),
        json.dumps(row.sources),
        None if row.spread_bp is None else str(row.spread_bp),
        format_address(row.writer),
    )


def format_time(unix_ms: int) -> str:
    """Write Unix milliseconds as Postgres reads them. Raises ValueError after the year 9999."""
    seconds, ms = divmod(unix_ms, 1000)
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms:03}Z"
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{unix_ms} ms is no time that a calendar holds") from error
