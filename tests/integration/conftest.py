"""A real Postgres for the tests: one embedded server a session, one fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.adapters.postgres.migrate import migrate

_numbers = itertools.count(1)


@contextmanager
def _make_folder() -> Iterator[Path]:
    """Make a folder beside pytest's own.

    As root the server runs as nobody, who must pass through the folders above; each pytest that
    starts closes pytest's common folder again, under the servers of those that already run.
    """
    with tempfile.TemporaryDirectory(prefix="gp-test-") as folder:
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for a server of the test's own."""
    with _make_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The session's server. Fails, and does not skip, where there is none."""
    with _make_folder() as folder:
        yield from _run_server(folder)


def _run_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(
        folder,
        # Nobody will miss the tests' data after a power cut; %d tells the databases apart.
        settings={"fsync": "off", "log_line_prefix": "[%d] "},
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the schema, to copy."""

    async def make() -> None:
        await _execute(postgres_server, "CREATE DATABASE migrated_template")
        await migrate(postgres_server.get_url("migrated_template"))

    # A thread of its own, because pytest-asyncio's loop may be running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, make()).result()
    return "migrated_template"


@pytest.fixture
async def empty_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a fresh database without any table."""
    async for url in _make_database(postgres_server, "template0"):
        yield url


@pytest.fixture
async def postgres_url(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> AsyncIterator[str]:
    """The URL of a fresh database with this version's schema."""
    async for url in _make_database(postgres_server, migrated_template):
        yield url


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A plain connection to the test's database."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
def postgres_log(postgres_server: EmbeddedPostgres) -> Path:
    """The server's log file."""
    return postgres_server.log


async def _make_database(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.get_url(name)
    await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.get_url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
