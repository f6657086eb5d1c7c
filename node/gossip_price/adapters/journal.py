"""The journal: what this node must not forget, in one SQLite file that one process may hold.

It keeps votes (what we signed, so that we never sign its opposite), proven entries, the highest
round, the newest epoch, and the peer book. It decides nothing but one thing: a second vote under
one key is refused. It knows nothing of quorums, clocks or what the records are for.

What `write` has returned from is on disk (WAL, synchronous=FULL); what it has refused changed
nothing. It sees what the file system sees: a copy of the file put back later, or its `-wal`
removed, is a memory that somebody else edited, and no journal can tell.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, assert_never
from urllib.parse import quote

import msgspec

from gossip_price.adapters.owned import sync_folder
from gossip_price.core.events import (
    EpochRecord,
    Forget,
    LeftToOthers,
    ProvenRecord,
    Recollection,
    Record,
    RoundRecord,
    StoredRecord,
    Vote,
)
from gossip_price.core.rows import Key
from gossip_price.core.types import Entry, Report
from gossip_price.ports import ForeignJournalError, JournalError

#: "gpj1": tells our files from any other SQLite file, also to `file(1)`.
APPLICATION_ID: Final = 0x67706A31
SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "CREATE TABLE votes (key TEXT PRIMARY KEY, id BLOB NOT NULL, round INTEGER NOT NULL,"
    " report BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX votes_by_round ON votes (round)",
    "CREATE TABLE proven (id BLOB PRIMARY KEY, round INTEGER NOT NULL, entry BLOB NOT NULL,"
    " last_signed_ms INTEGER NOT NULL, sources BLOB NOT NULL, spread_bp INTEGER,"
    " stored INTEGER NOT NULL DEFAULT 0, pair TEXT)",
    "CREATE INDEX proven_by_round ON proven (round)",
    "CREATE INDEX proven_by_pair ON proven (pair, round)",
    "CREATE TABLE peers (peer TEXT PRIMARY KEY, addresses BLOB NOT NULL) WITHOUT ROWID",
)
#: What files of an earlier version lack. Versions that do not know the column leave it NULL, so
#: that a node may go back to one and forth again.
_ADD_PAIR: Final = (
    "ALTER TABLE proven ADD COLUMN pair TEXT",
    "CREATE INDEX proven_by_pair ON proven (pair, round)",
)
_SELECT_PROVEN: Final = "SELECT id, entry, last_signed_ms, sources, spread_bp, stored FROM proven"
#: Values of `proven.stored`: 0 while it waits to be stored. Those above only rise.
_LEFT_TO_OTHERS: Final = -1
_RECEIPTED: Final = 1
_CONFIRMED: Final = 2
#: The -wal file is cut back to this after a checkpoint; a disk-full outage must not leave a giant.
_WAL_BYTES_MAX: Final = 4 * 1024 * 1024

_NEW_BIRTH: Final = (
    "remedy: move it aside together with its -wal; the new journal is a new birth and will sign"
    " only rounds that start after it"
)

_T = TypeVar("_T")


class SqliteJournal:
    """A `ports.Journal` in the file `path`, made if it is not there.

    The file belongs to one signing key (`address`, 20 bytes) in one network (`network_id`, 32
    bytes); `now_ms` becomes its birth if it is made. Calls may come from any thread, one at a
    time. Raises JournalError when another process holds it, when it is damaged or cannot be
    written; ForeignJournalError when it is somebody else's or of another version.
    """

    def __init__(self, path: Path, *, address: bytes, network_id: bytes, now_ms: int) -> None:
        self._path = path
        self._owner = {"address": address, "network_id": network_id}
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = _acquire_lock(path)
        try:
            _make_file(path)
            with self._explained():
                self._connection = connection = self._connect()
                if _is_blank(connection):
                    self._create(connection, now_ms)
                self._check_file(connection)
                self._fill_pairs(connection)
                # Only now may anything rely on the birth: the name itself must survive too.
                sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def load(self) -> Recollection:
        """Return what is remembered, in order of round. Raises JournalError."""
        with self._transaction() as connection:
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            votes = tuple(
                Vote(key, id_, self._decode(report, Report))
                for key, id_, report in connection.execute(
                    "SELECT key, id, report FROM votes ORDER BY round, key"
                )
            )
            rows = connection.execute(f"{_SELECT_PROVEN} ORDER BY round, id").fetchall()
        return Recollection(
            birth_ms=meta["birth_ms"],
            highest_round=meta["highest_round"],
            votes=votes,
            proven=tuple(self._to_proven(row) for row in rows),
            stored=tuple(
                StoredRecord(id_, confirmed=stored == _CONFIRMED)
                for id_, *_, stored in rows
                if stored > 0
            ),
            epoch=EpochRecord(meta["epoch"], meta["epoch_hash"]) if "epoch" in meta else None,
        )

    def write(self, records: Sequence[Record]) -> None:
        """Make all records durable in one synced transaction, or raise JournalError.

        Nothing of a refused batch stands. Refused is a vote under a key that holds another id,
        and a vote of a round that was forgotten (it could not be compared). After a full disk or
        an I/O error the file is opened anew, so that the next call works as soon as it can.
        """
        with self._transaction() as connection:
            for record in records:
                self._put(connection, record)

    def read_proven(self, ids: Sequence[bytes]) -> tuple[ProvenRecord, ...]:
        """Return what is remembered as proven of these ids, by id. Raises JournalError."""
        marks = ", ".join("?" * len(ids))
        statement = f"{_SELECT_PROVEN} WHERE id IN ({marks}) ORDER BY id"
        with self._transaction(synced=False) as connection:
            rows = connection.execute(statement, tuple(ids)).fetchall()
        return tuple(self._to_proven(row) for row in rows)

    def read_proven_range(self, after: Key, limit: int) -> tuple[ProvenRecord, ...]:
        """Return the first `limit` proven entries after (round, id), in that order.

        Raises JournalError.
        """
        statement = f"{_SELECT_PROVEN} WHERE (round, id) > (?, ?) ORDER BY round, id LIMIT ?"
        with self._transaction(synced=False) as connection:
            rows = connection.execute(statement, (*after, limit)).fetchall()
        return tuple(self._to_proven(row) for row in rows)

    def find_proven(self, id_: bytes) -> tuple[ProvenRecord, bool] | None:
        """Return the proven entry with this id, and whether it is stored. Raises JournalError."""
        with self._transaction(synced=False) as connection:
            row = connection.execute(f"{_SELECT_PROVEN} WHERE id = ?", (id_,)).fetchone()
        return None if row is None else (self._to_proven(row), row[-1] > 0)

    def read_newest(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> tuple[tuple[ProvenRecord, bool], ...]:
        """Return proven entries before (round, id), newest first, each with whether it is stored.

        Of one pair, or of all; of rounds from `from_round` on; at most `limit`. Raises
        JournalError.
        """
        where = "round <= ? AND (round, id) < (?, ?) AND round >= ?"
        values: tuple[object, ...] = (before[0], *before, from_round)
        if pair is not None:
            where, values = f"pair = ? AND {where}", (pair, *values)
        statement = f"{_SELECT_PROVEN} WHERE {where} ORDER BY round DESC, id DESC LIMIT ?"
        with self._transaction(synced=False) as connection:
            rows = connection.execute(statement, (*values, limit)).fetchall()
        return tuple((self._to_proven(row), row[-1] > 0) for row in rows)

    def load_peers(self) -> dict[str, tuple[str, ...]]:
        """Return the peer book: addresses by peer id, newest first. Raises JournalError."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT peer, addresses FROM peers").fetchall()
        return {peer: self._decode(addresses, tuple[str, ...]) for peer, addresses in rows}

    def write_peers(self, peers: dict[str, tuple[str, ...]]) -> None:
        """Replace the peer book; not synced, for it can be learnt again. Raises JournalError."""
        rows = [(peer, msgspec.msgpack.encode(addresses)) for peer, addresses in peers.items()]
        with self._transaction(synced=False) as connection:
            connection.execute("DELETE FROM peers")
            connection.executemany("INSERT INTO peers VALUES (?, ?)", rows)

    def close(self) -> None:
        """Release the file and its lock. What was written stays written; idempotent."""
        self._drop_connection()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _to_proven(self, row: tuple[Any, ...]) -> ProvenRecord:
        id_, entry, last_signed_ms, sources, spread_bp, _ = row
        return ProvenRecord(
            id_,
            self._decode(entry, Entry),
            last_signed_ms,
            self._decode(sources, tuple[str, ...]),
            spread_bp,
        )

    def _put(self, connection: sqlite3.Connection, record: Record) -> None:
        match record:
            case Vote():
                self._put_vote(connection, record)
            case ProvenRecord():
                connection.execute(
                    "INSERT INTO proven (id, round, entry, last_signed_ms, sources, spread_bp,"
                    " pair) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET entry = excluded.entry,"
                    " last_signed_ms = excluded.last_signed_ms, sources = excluded.sources,"
                    " spread_bp = excluded.spread_bp"
                    # Of one report, longer is more signers. Who replays an old proof of what is in
                    # no tree any more takes nothing away.
                    " WHERE length(excluded.entry) >= length(entry)",
                    (
                        record.id,
                        record.entry.report.round,
                        msgspec.msgpack.encode(record.entry),
                        record.last_signed_ms,
                        msgspec.msgpack.encode(record.sources),
                        record.spread_bp,
                        record.entry.report.pair,
                    ),
                )
            case StoredRecord(id=id_, confirmed=confirmed):
                connection.execute(
                    "UPDATE proven SET stored = max(stored, ?) WHERE id = ?",
                    (_CONFIRMED if confirmed else _RECEIPTED, id_),
                )
            case LeftToOthers(id=id_):
                connection.execute(
                    "UPDATE proven SET stored = ? WHERE id = ? AND stored = 0",
                    (_LEFT_TO_OTHERS, id_),
                )
            case RoundRecord(highest=highest):
                _raise_meta(connection, "highest_round", highest)
            case EpochRecord(epoch=epoch, hash=hash_):
                # Not in a journal's first meta: older ones have none.
                connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    [("epoch", epoch), ("epoch_hash", hash_)],
                )
            case Forget(before_round=before_round):
                _raise_meta(connection, "forgotten_before", before_round)
                connection.execute("DELETE FROM votes WHERE round < ?", (before_round,))
                # What waits to be stored is a price that only we may still know.
                connection.execute(
                    "DELETE FROM proven WHERE round < ? AND stored <> 0", (before_round,)
                )
            case _:
                assert_never(record)

    def _put_vote(self, connection: sqlite3.Connection, vote: Vote) -> None:
        (forgotten_before,) = connection.execute(
            "SELECT value FROM meta WHERE name = 'forgotten_before'"
        ).fetchone()
        if vote.report.round < forgotten_before:
            raise JournalError(
                f"journal {self._path}: a vote of round {vote.report.round} given, allowed: rounds"
                f" from {forgotten_before}; what was signed before is forgotten"
            )
        connection.execute(
            "INSERT INTO votes VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (vote.key, vote.id, vote.report.round, msgspec.msgpack.encode(vote.report)),
        )
        (first,) = connection.execute("SELECT id FROM votes WHERE key = ?", (vote.key,)).fetchone()
        if first != vote.id:
            raise JournalError(
                f"journal {self._path}: a vote for {vote.id.hex()} under {vote.key} given, allowed:"
                f" only {first.hex()}, which was signed before"
            )

    @contextmanager
    def _transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        if self._lock is None:
            raise JournalError(f"journal {self._path} is closed")
        with self._explained():
            if self._connection is None:
                self._connection = self._connect()
                self._check_owner(self._connection)
            connection = self._connection
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            # A handle that met an I/O error may hold pages that are not on disk: never reuse it.
            self._drop_connection()
            raise JournalError(f"journal {self._path}: {_explain(error)}") from error

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that vanished under us must be an error, not a blank memory.
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=1.0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # EXCLUSIVE before the first access: no shared memory file, and no other reader.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise JournalError(f"journal {self._path}: this file system cannot hold a WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_MAX}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection, now_ms: int) -> None:
        meta = {"birth_ms": now_ms, "highest_round": 0, "forgotten_before": 0, **self._owner}
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def _check_file(self, connection: sqlite3.Connection) -> None:
        application_id, version = _read_header(connection)
        if application_id != APPLICATION_ID:
            raise ForeignJournalError(f"journal {self._path}: this is another program's file")
        if version != SCHEMA_VERSION:
            raise ForeignJournalError(
                f"journal {self._path}: schema version {version} found, allowed: {SCHEMA_VERSION};"
                " remedy: run the version of gossip-price that wrote it, or a newer one"
            )
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            said = " ".join(str(verdict).split())
            raise JournalError(f"journal {self._path} is damaged ({said}); {_NEW_BIRTH}")
        self._check_owner(connection)

    def _fill_pairs(self, connection: sqlite3.Connection) -> None:
        """Give the entries that an earlier version wrote their pair, which is in them anyway."""
        columns = {row[1] for row in connection.execute("PRAGMA table_info (proven)")}
        connection.execute("BEGIN IMMEDIATE")
        for statement in () if "pair" in columns else _ADD_PAIR:
            connection.execute(statement)
        rows = connection.execute("SELECT id, entry FROM proven WHERE pair IS NULL").fetchall()
        connection.executemany(
            "UPDATE proven SET pair = ? WHERE id = ?",
            ((self._decode(entry, Entry).report.pair, id_) for id_, entry in rows),
        )
        connection.execute("COMMIT")

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        found = dict(connection.execute("SELECT name, value FROM meta"))
        for name, own in self._owner.items():
            if found.get(name) != own:
                raise ForeignJournalError(
                    f"journal {self._path} belongs to {name.replace('_', ' ')}"
                    f" 0x{_to_hex(found.get(name))}, ours is 0x{own.hex()}; remedy: give every"
                    " signing key and every network a journal file of its own"
                )

    def _decode(self, raw: object, kind: type[_T]) -> _T:
        try:
            if not isinstance(raw, bytes):
                raise msgspec.DecodeError("not bytes")
            return msgspec.msgpack.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            raise JournalError(
                f"journal {self._path} is damaged (a record is unreadable); {_NEW_BIRTH}"
            ) from error

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):  # closing checkpoints; what is not copied stays in -wal
                self._connection.close()
            self._connection = None


def _acquire_lock(path: Path) -> int:
    """Lock `<path>.lock` for this process; the kernel lets go when the process ends, however."""
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"journal {path}: {lock}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(
            f"journal {path}: another process holds it ({lock} is locked); remedy: stop that"
            " process, or give this node a journal and a key of its own"
        ) from error
    return descriptor


def _make_file(path: Path) -> None:
    """Make an empty file of mode 0600, which SQLite's -wal then inherits, if there is none."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise JournalError(f"journal {path}: {error.strerror}") from error


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file was never finished: nothing can have relied on it."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return tables == 0 and _read_header(connection) == (0, 0)


def _read_header(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _raise_meta(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = ?", (value, name))


def _to_hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else "?"


def _explain(error: sqlite3.Error | OSError) -> str:
    """Say what SQLite met, and where it is not the disk's passing trouble, the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"the file is damaged ({error}); {_NEW_BIRTH}"
    if code == sqlite3.SQLITE_FULL:
        return f"the disk is full ({error}); nothing is signed until there is space"
    if code == sqlite3.SQLITE_READONLY:
        return f"the file or its folder is read-only ({error}); nothing is signed until it is not"
    if code == sqlite3.SQLITE_BUSY:
        return f"another program has the file open ({error}); nothing is signed until it lets go"
    return f"{error}; nothing is signed until it can be written"
