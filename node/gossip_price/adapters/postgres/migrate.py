"""Bring a database to this version's schema: once, however many start it at the same time.

Everything happens in one transaction under an advisory lock, so that a migration that is killed
leaves nothing behind; the lock is the transaction's own, which also holds behind pgbouncer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gossip_price.adapters.postgres.connection import open_connection

#: The first 8 bytes of keccak-256("gossip-price migrate") as a signed bigint.
_LOCK_KEY: Final = -2_192_040_318_571_686_482
#: Others' migrations are awaited this long; a big table's index takes its time.
_LOCK_WAIT_S: Final = 300
_STATEMENT_TIMEOUT_S: Final = 3_600.0

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Migration(NamedTuple):
    """What was done: revisions before (None: an empty database) and after, and the store's id."""

    before: str | None
    after: str
    store_id: bytes


async def migrate(url: str) -> Migration:
    """Run the revisions that `url`'s database lacks. A newer schema is left alone.

    Raises DatabaseUrlError, and what asyncpg and SQLAlchemy raise (`SQLAlchemyError`, `OSError`,
    `asyncpg.PostgresError`) when the database cannot be reached or refuses.
    """

    async def connect() -> Any:
        return await open_connection(url, command_timeout_s=_STATEMENT_TIMEOUT_S)

    # async_creator: the URL is read in connection.py alone, not a second time by SQLAlchemy.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> Migration:
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    before = _read_revision(connection)
    config = Config()
    # ConfigParser reads % in a path as the start of a variable.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    head = cast("str", ScriptDirectory.from_config(config).get_current_head())
    if before is None or before < head:
        command.upgrade(config, "head")
    after = cast("str", _read_revision(connection))
    store_id: bytes = connection.execute(text("SELECT store_id FROM meta")).scalar_one()
    return Migration(before, after, store_id)


def _read_revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision
