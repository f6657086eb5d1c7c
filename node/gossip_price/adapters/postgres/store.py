"""The way into Postgres: `ports.Store` over asyncpg.

One connection, kept by one background task; a batch of rows is one INSERT and nothing else. The
audit's statements (`audit`) have their turn on it between batches, each with a deadline. Decides
nothing about prices and believes nothing that stands in the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg
import structlog

from gossip_price.adapters.postgres import audit
from gossip_price.adapters.postgres.connection import (
    COMMAND_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    Connection,
    open_connection,
)
from gossip_price.adapters.postgres.errors import TROUBLE, describe, is_refusal
from gossip_price.adapters.postgres.insert import INSERT_PRICES, format_time, to_columns
from gossip_price.adapters.postgres.schema import SCHEMA_NEEDED
from gossip_price.core.rows import Correction, FoundRow, LateSignature, RowRange
from gossip_price.core.types import StoredRow
from gossip_price.network.document import Document
from gossip_price.ports import StoreRefusedError, StoreUnavailableError

#: Waits between attempts to connect: the first, and the longest.
BACKOFF_S: Final = (0.5, 10.0)
#: An idle connection is asked this often whether it is still there: a database that vanished
#: without a word (a cut cable, a frozen machine) is noticed before the next batch needs it.
PROBE_S: Final = 15.0
#: The server answers and reads no table. Not the empty statement, for which asyncpg has no answer.
_PROBE: Final = "SHOW server_version"
_CLOSE_TIMEOUT_S: Final = 0.5

_T = TypeVar("_T")

_GREETING: Final = """
SELECT (SELECT version_num FROM alembic_version) AS revision, store_id,
       current_setting('transaction_read_only') = 'on' AS read_only
FROM meta
"""

_INSERT_EPOCHS: Final = """
INSERT INTO epochs (hash, network_id, epoch, previous, start_time, document)
SELECT hash, network_id, epoch::bigint, previous, start_time::timestamptz, document
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS given (hash, network_id, epoch, previous, start_time, document)
ORDER BY hash COLLATE "C"
ON CONFLICT (hash) DO NOTHING
"""


class PostgresStore:
    """Prices in Postgres.

    `url` is called at every attempt to connect (a mounted Secret changes); `dice` gives numbers
    in [0, 1) for the jitter. Times are in seconds; `connect_timeout_s` is a probe's too.
    """

    def __init__(
        self,
        url: Callable[[], str],
        *,
        dice: Callable[[], float],
        backoff_s: tuple[float, float] = BACKOFF_S,
        probe_s: float = PROBE_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._dice = dice
        self._backoff_s = backoff_s
        self._probe_s = probe_s
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._lost: asyncio.Future[str] | None = None
        self._reason = "not connected yet"
        self._epochs: tuple[Document, ...] = ()
        self._epochs_written: tuple[Document, ...] = ()
        self._attempts = 0
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger(__name__)

    async def start(self, up: Callable[[bytes], None], down: Callable[[str], None]) -> None:
        """Connect in the background; call `up(store id)` and `down(reason)` at each change.

        `down` comes a second time only if the trouble becomes one of another kind (unreachable,
        then reachable with an older schema).
        """
        self._task = asyncio.create_task(self._keep_connected(up, down), name="postgres-store")

    async def insert(self, rows: Sequence[StoredRow]) -> tuple[bytes, ...]:
        """Insert rows in one statement and return the ids that were not there before.

        Raises StoreUnavailableError (try later) or StoreRefusedError (this batch never).
        """
        if not rows:
            return ()
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise StoreUnavailableError(self._reason)
            try:
                columns = to_columns(rows)
                await self._write_epochs(connection)
                inserted = await connection.fetch(INSERT_PRICES, *columns)
            except TROUBLE as error:
                if is_refusal(error):
                    raise StoreRefusedError(describe(error)) from error
                self._lose(describe(error))
                raise StoreUnavailableError(describe(error)) from error
            # Only a write proves that the database takes writes (a full disk lets us connect).
            self._attempts = 0
            return tuple(bytes.fromhex(record["id"][2:]) for record in inserted)

    async def read_rows(
        self, wanted: RowRange | Sequence[bytes], deadline_s: float
    ) -> tuple[FoundRow, ...]:
        """Read rows of a range, by key, or under these ids.

        Raises StoreUnavailableError, at the deadline at the latest: the statement is cancelled,
        and the connection goes on.
        """
        return await self._audit(lambda connection: audit.read_rows(connection, wanted, deadline_s))

    async def correct(
        self, corrections: Sequence[Correction]
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Move false rows to quarantine and insert the true ones, all in one transaction.

        Return the ids that were moved, and those that were inserted. Raises
        StoreUnavailableError or StoreRefusedError.
        """
        return await self._audit(lambda connection: audit.correct(connection, corrections))

    async def add_signatures(self, late: Sequence[LateSignature]) -> int:
        """Insert late signatures in one statement; return how many were not there before.

        Raises StoreUnavailableError or StoreRefusedError.
        """
        return await self._audit(lambda connection: audit.add_signatures(connection, late))

    async def _audit(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do one thing for the audit, while no batch is under way."""
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise StoreUnavailableError(self._reason)
            try:
                await self._write_epochs(connection)
                return await work(connection)
            except TROUBLE as error:
                # The audit can wait; whether the connection lives, its probe finds out.
                kind = StoreRefusedError if is_refusal(error) else StoreUnavailableError
                raise kind(describe(error)) from error

    def set_epochs(self, documents: Sequence[Document]) -> None:
        """Name the epochs that must stand in the database before the next row."""
        self._epochs = tuple(documents)

    async def aclose(self) -> None:
        """Close the connection; at most 1 second."""
        self._reason = "closed"
        connection, self._connection = self._connection, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_TIMEOUT_S)
            self._task = None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=_CLOSE_TIMEOUT_S)
            except TROUBLE:
                connection.terminate()

    async def _keep_connected(
        self, up: Callable[[bytes], None], down: Callable[[str], None]
    ) -> None:
        told: str | None = None
        while True:
            try:
                connection, store_id = await self._connect()
            except Exception as error:  # noqa: BLE001  the supervising edge, told below
                # The edge that keeps the store alive: whatever ended an attempt (the network, the
                # URL's file, a bug), the node goes on signing, and the next attempt may succeed.
                if not isinstance(error, (*TROUBLE, StoreUnavailableError)):
                    self._log.exception("store_connect_failed", reason=describe(error))
                self._reason = describe(error)
                kind = type(error).__name__ if isinstance(error, SchemaError) else "unreachable"
                if told != kind:
                    told = kind
                    down(self._reason)
            else:
                up(store_id)
                try:
                    self._reason = await self._watch(connection)
                except Exception as error:  # noqa: BLE001  the same edge
                    # A watch that died of whatever is a connection that nobody watches: lost.
                    self._log.exception("store_watch_failed", reason=describe(error))
                    self._lose(describe(error))
                    self._reason = describe(error)
                connection.terminate()
                told = "unreachable"
                down(self._reason)
            await asyncio.sleep(self._get_backoff())
            self._attempts += 1

    def _get_backoff(self) -> float:
        """Return the next wait in seconds: doubled up to the longest, half of it by the dice."""
        first, longest = self._backoff_s
        doubled: float = first * 2 ** min(self._attempts, 16)
        return min(longest, doubled) * (0.5 + 0.5 * self._dice())

    async def _connect(self) -> tuple[Connection, bytes]:
        connection = await open_connection(
            self._url(),
            connect_timeout_s=self._connect_timeout_s,
            command_timeout_s=self._command_timeout_s,
        )
        try:
            store_id = await _greet(connection)
            self._epochs_written = ()
            await self._write_epochs(connection)
        except BaseException:
            connection.terminate()
            raise
        self._lost = asyncio.get_running_loop().create_future()
        self._connection = connection
        connection.add_termination_listener(self._on_termination)
        if connection.is_closed():
            self._lose("the database closed the connection")
        return connection, store_id

    async def _write_epochs(self, connection: Connection) -> None:
        """Insert the epochs that this connection has not inserted. Raises one of TROUBLE."""
        documents = self._epochs
        if documents == self._epochs_written:
            return
        columns = zip(*(_to_epoch(document) for document in documents), strict=True)
        if documents:
            try:
                await connection.execute(_INSERT_EPOCHS, *(list(column) for column in columns))
            except TROUBLE as error:
                # Never a refusal of the batch that happens to come next.
                raise ConnectionError(f"epochs were not written: {describe(error)}") from error
        self._epochs_written = documents

    async def _watch(self, connection: Connection) -> str:
        """Return why the connection was lost, once it is."""
        lost = self._lost
        if lost is None:
            return self._reason
        while True:
            await asyncio.wait([lost], timeout=self._probe_s)
            if lost.done():
                return lost.result()
            if self._lock.locked():
                continue  # a statement is under way, with its own deadline
            async with self._lock:
                try:
                    await connection.execute(_PROBE, timeout=self._connect_timeout_s)
                except TROUBLE as error:
                    self._lose(describe(error))
                else:
                    # Connected and quiet for a while: the next trouble is a new one.
                    self._attempts = 0

    def _lose(self, reason: str) -> None:
        self._connection = None
        if self._lost is not None and not self._lost.done():
            self._reason = reason
            self._lost.set_result(reason)

    def _on_termination(self, connection: object) -> None:
        if self._connection is not None and connection is self._connection:
            self._lose("the database closed the connection")


class SchemaError(StoreUnavailableError):
    """The database answers and lacks what this version writes to."""


async def _greet(connection: Connection) -> bytes:
    """Check the schema and return the store's id, 32 bytes."""
    remedy = "run gossip-price migrate"
    try:
        greeting = await connection.fetchrow(_GREETING)
    except asyncpg.UndefinedTableError:
        raise SchemaError(f"the database has no schema yet: {remedy}") from None
    if greeting is None or greeting["revision"] is None:
        raise SchemaError(f"the schema is not complete: {remedy}")
    if greeting["revision"] < SCHEMA_NEEDED:
        raise SchemaError(
            f"the schema is older ({greeting['revision']}) than what this version needs "
            f"({SCHEMA_NEEDED}): {remedy}"
        )
    if greeting["read_only"]:
        raise StoreUnavailableError("the database is read-only (a standby?)")
    store_id: bytes = greeting["store_id"]
    return store_id


def _to_epoch(document: Document) -> tuple[str, ...]:
    return (
        "0x" + document.hash.hex(),
        document.network_id,
        str(document.epoch),
        document.previous,
        format_time(document.start * 1000),
        document.canonical.decode(),
    )
