"""The embedded server: its life, its owner's death, and the folders it is given."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from gossip_price.adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError

Make = Callable[[Path], EmbeddedPostgres]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make servers, and stop them after the test."""
    servers: list[EmbeddedPostgres] = []

    def make_(folder: Path) -> EmbeddedPostgres:
        servers.append(EmbeddedPostgres(folder))
        return servers[-1]

    yield make_
    for server in servers:
        server.stop()


def ask(url: str, *statements: str) -> object:
    """Run statements and return the first value of the last one's answer."""

    async def main() -> object:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(main())


def get_servers(folder: Path) -> list[int]:
    """Return the process ids of everything that runs on `folder`."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(folder / "data") in (process.info["cmdline"] or ())
    ]


def test_what_was_written_is_there_after_a_restart_and_nothing_is_left_running(
    place: Path, make: Make
) -> None:
    server = make(place / "pg")
    url = server.start()
    assert ask(url, "SELECT current_database()") == "gossip_price"
    ask(url, "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1")
    pid = server.pid
    assert pid is not None
    # A session of its own: the terminal's Ctrl-C goes to another.
    assert os.getsid(pid) == pid != os.getsid(0)
    server.stop()
    server.stop()
    assert not psutil.pid_exists(pid)
    assert get_servers(place / "pg") == []
    assert server.start() == url
    assert ask(url, "SELECT x FROM t") == 7


def test_a_server_with_clients_stops_all_the_same(place: Path, make: Make) -> None:
    server = make(place / "pg")

    async def main() -> None:
        connection = await asyncpg.connect(server.start())
        await connection.execute("BEGIN")
        await asyncio.to_thread(server.stop)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()

    asyncio.run(main())
    assert get_servers(place / "pg") == []


def test_an_owner_that_was_killed_leaves_a_server_that_the_next_one_ends(
    place: Path, make: Make
) -> None:
    folder = place / "pg"
    program = (
        "import sys, time, pathlib\n"
        "from gossip_price.adapters.postgres.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))\n"
        "print(server.start(), flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            assert owner.stdout is not None
            url = owner.stdout.readline().strip()
            ask(url, "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1")
            with pytest.raises(EmbeddedPostgresError, match=f"in use by process {owner.pid}"):
                make(folder).start()
        finally:
            owner.kill()
    (left, *_) = get_servers(folder)

    server = make(folder)
    assert ask(server.start(), "SELECT x FROM t") == 7
    assert server.pid != left
    assert get_servers(folder) == [server.pid]


def test_a_killed_server_starts_again_with_what_was_committed(place: Path, make: Make) -> None:
    server = make(place / "pg")
    ask(server.start(), "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    server.stop()
    assert ask(server.start(), "SELECT x FROM t") == 7


def test_a_stale_pid_file_that_names_a_stranger_hurts_nobody(place: Path, make: Make) -> None:
    folder = place / "pg"
    server = make(folder)
    server.start()
    pid_file = folder / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        owner = (folder / "data").stat()
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        assert ask(server.start(), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.communicate()


@pytest.mark.parametrize("name", ["x" * 120, "a b,'c\"%d", "ümläut"])
def test_a_placemay_be_called_anything(place: Path, make: Make, name: str) -> None:
    server = make(place / name)
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()
    assert server.start()


def test_what_cannot_be_a_database_is_refused_with_a_reason(place: Path, make: Make) -> None:
    (place / "file").write_text("not a folder")
    with pytest.raises(EmbeddedPostgresError, match="file"):
        make(place / "file").start()
    (place / "other" / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match="another data folder"):
        make(place / "other").start()
    (place / "old" / "data").mkdir(parents=True)
    (place / "old" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 12"):
        make(place / "old").start()


def test_a_server_that_does_not_start_says_what_its_log_says(place: Path, make: Make) -> None:
    server = make(place / "pg")
    server.start()
    server.stop()
    (place / "pg" / "data" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="nonsense"):
        server.start()
    assert get_servers(place / "pg") == []
