"""One Postgres for all fault tests, and the table of faults at the end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from faults.fault_table import LINES, format_table
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.adapters.postgres.migrate import migrate


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: sockets' paths are bounded."""
    with tempfile.TemporaryDirectory(prefix="gp-f-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server; it syncs every commit, as the real one does."""
    with tempfile.TemporaryDirectory(prefix="gp-f-") as folder:
        server = EmbeddedPostgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the schema, to copy."""

    async def make() -> None:
        connection = await asyncpg.connect(postgres.get_url("postgres"))
        await connection.execute("CREATE DATABASE faults_template")
        await connection.close()
        await migrate(postgres.get_url("faults_template"))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, make()).result()
    return "faults_template"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LINES:
        terminalreporter.section("faults")
        terminalreporter.write_line(format_table(LINES))
