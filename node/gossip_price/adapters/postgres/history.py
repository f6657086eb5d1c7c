"""Older prices for those who ask: a small pool of readers beside the store's own connection.

Every statement is read-only, bounded and given up in time; a database that does not answer costs
a reader one short wait, and those after it none. Believes nothing of what stands in the table.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg
from msgspec import Struct

from gossip_price.adapters.postgres.connection import Connection, open_connection
from gossip_price.adapters.postgres.errors import READ_TROUBLE, describe
from gossip_price.adapters.postgres.read import CLAIM, LATE, read_epochs, to_claim
from gossip_price.core.proof import ClaimedRow
from gossip_price.core.rows import Key
from gossip_price.network.document import Document
from gossip_price.ports import StoreUnavailableError

#: Connections, made when they are needed and closed when nobody did for a while.
POOL_MAX: Final = 2
IDLE_S: Final = 60.0
#: The server's own bound of a statement, and ours of the whole: waiting for a connection, making
#: one, the statement. A page by index takes milliseconds.
STATEMENT_MS: Final = 2_000
READ_S: Final = 4.0
CONNECT_S: Final = 2.0
#: After a failure nobody waits for the database for this long: they are told at once.
REST_S: Final = 1.0
#: Who may wait for the pool's connections; more are told to come back.
WAITING_MAX: Final = 32
#: What a row says of its sources is cut to this.
_SOURCES_MAX: Final = 2_000

_T = TypeVar("_T")

_COLUMNS: Final = f"""
SELECT {CLAIM}, {LATE} AS late,
       left(extract(epoch FROM p.created_time)::text, 80) AS created_at,
       left(extract(epoch FROM p.lastsigned_time)::text, 80) AS last_signed_at,
       left(p.source::text, {_SOURCES_MAX}) AS sources, p.spread_bp, left(p.writer, 80) AS writer
FROM prices AS p
"""  # noqa: S608  the numbers in it are ours

# COLLATE "C": by bytes, as nodes order ids and as the index prices_round_id has it. `round <=`
# says again what the comparison of pairs says, for the index prices_pair_round.
_PAGE: Final = """
WHERE {pair} p.round <= $1 AND (p.round, p.id COLLATE "C") < ($1, $2) AND p.round >= $3
  AND p.id ~ '^0x[0-9a-f]{{64}}$'
ORDER BY p.round DESC, p.id COLLATE "C" DESC
LIMIT $4
"""
_PAGE_OF_ALL: Final = _COLUMNS + _PAGE.format(pair="")
_PAGE_OF_PAIR: Final = _COLUMNS + _PAGE.format(pair="p.pair = $5 AND")
_ONE: Final = _COLUMNS + "WHERE p.id = $1"


#: What a connection may raise that was ended while it was idle, or is being ended.
_BROKEN: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)


class HistoryRow(Struct, frozen=True):
    """A row as it stands, with late signatures; what only its writer says is None if unreadable."""

    id: bytes
    claim: ClaimedRow
    late: str | None
    stored_ms: int | None
    last_signed_ms: int | None
    sources: tuple[str, ...]
    spread_bp: int | None
    writer: str | None


class PostgresHistory:
    """Reads table `prices`. `url` is called at every new connection (a mounted Secret changes)."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._making = asyncio.Lock()
        self._waiting = 0
        self._rests_until_s = 0.0
        self._reason = ""

    async def read_page(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> tuple[HistoryRow, ...]:
        """Return rows before (round, id), newest first, by the row's own column of its round.

        Raises StoreUnavailableError.
        """
        values: list[Any] = [before[0], _to_text(before[1]), from_round, limit]
        if pair is not None:
            values.append(pair)
        statement = _PAGE_OF_ALL if pair is None else _PAGE_OF_PAIR

        async def read(connection: Connection) -> tuple[HistoryRow, ...]:
            return tuple(_to_row(record) for record in await connection.fetch(statement, *values))

        return await self._read(read)

    async def find(self, id_: bytes) -> HistoryRow | None:
        """Return the row under this id, or None. Raises StoreUnavailableError."""

        async def read(connection: Connection) -> HistoryRow | None:
            record = await connection.fetchrow(_ONE, _to_text(id_))
            return None if record is None else _to_row(record)

        return await self._read(read)

    async def read_epochs(self) -> tuple[Document, ...]:
        """Return the documents in the table that are what their hash says.

        Raises StoreUnavailableError.
        """

        async def read(connection: Connection) -> tuple[Document, ...]:
            return tuple((await read_epochs(connection))[0])

        return await self._read(read)

    async def aclose(self) -> None:
        """Close the connections, whatever they are doing."""
        self._reason, self._rests_until_s = "closed", float("inf")
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _read(self, read: Callable[[Connection], Awaitable[_T]]) -> _T:
        if time.monotonic() < self._rests_until_s:
            raise StoreUnavailableError(self._reason)
        if self._waiting >= WAITING_MAX:
            raise StoreUnavailableError("too many readers wait for the database")
        self._waiting += 1
        try:
            async with asyncio.timeout(READ_S):
                try:
                    return await self._try(read)
                except _BROKEN:
                    # A connection of before the database's restart: a new one may do.
                    await (await self._require_pool()).expire_connections()
                    return await self._try(read)
        except (*READ_TROUBLE, StoreUnavailableError) as error:
            self._reason = describe(error)
            self._rests_until_s = time.monotonic() + REST_S
            raise StoreUnavailableError(self._reason) from error
        finally:
            self._waiting -= 1

    async def _try(self, read: Callable[[Connection], Awaitable[_T]]) -> _T:
        pool = await self._require_pool()
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            # Not a setting of the session: pgbouncer would hand it to others.
            await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
            return await read(connection)  # type: ignore[arg-type]  # asyncpg's stand-in for it

    async def _require_pool(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._making:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0,
                    max_size=POOL_MAX,
                    max_inactive_connection_lifetime=IDLE_S,
                    connect=self._connect,
                    reset=_leave_as_it_is,
                )
            return self._pool

    async def _connect(self, *_args: Any, **_options: Any) -> Connection:
        return await open_connection(
            self._url(), connect_timeout_s=CONNECT_S, command_timeout_s=READ_S
        )


async def _leave_as_it_is(_connection: Connection) -> None:
    """Every setting of ours ends with its transaction."""


def _to_row(record: asyncpg.Record) -> HistoryRow:
    claim = to_claim(record)
    return HistoryRow(
        id=bytes.fromhex(claim.id[2:]),
        claim=claim,
        late=record["late"],
        stored_ms=_to_ms(record["created_at"]),
        last_signed_ms=_to_ms(record["last_signed_at"]),
        sources=_to_names(record["sources"]),
        spread_bp=record["spread_bp"],
        writer=record["writer"],
    )


def _to_ms(text: str | None) -> int | None:
    try:
        ms = int(float(text or "nan") * 1000)
    except (ValueError, OverflowError):
        return None
    # Years 1 to 9999: what a calendar holds.
    return ms if -62_135_596_800_000 <= ms < 253_402_300_800_000 else None


def _to_names(text: str | None) -> tuple[str, ...]:
    try:
        names = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _to_text(value: bytes) -> str:
    return "0x" + value.hex()
