"""Between nodes and Postgres: reads what they say, and cuts the wire where it hurts most.

Listens on a Unix socket, which processes in other network namespaces reach as well. Knows the
frames of Postgres' protocol and nothing of what is in them but the text of statements.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

_NAME: Final = ".s.PGSQL.5432"
_CHUNK: Final = 1 << 16
_STARTUP: Final = 196_608
#: Where a connection is cut, on the way of one INSERT.
ROLLED_BACK: Final = "Execute without its Sync: the server rolls back"
UNDER_WAY: Final = "Execute and Sync sent, then cut: committed or not"
COMMITTED: Final = "committed, the answer swallowed"
CUTS: Final = (ROLLED_BACK, UNDER_WAY, COMMITTED)


class PostgresProxy:
    """A server of its own; `get_upstream` gives the real server's URL, anew for each connection."""

    def __init__(self, folder: Path, get_upstream: Callable[[], str]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        #: The statements of each connection, in order.
        self.statements: list[list[str]] = []
        self.cuts: list[str] = []
        self._get_upstream = get_upstream
        self._armed: list[str] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _NAME))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def get_url(self, database: str) -> str:
        """Return the URL by which nodes reach a database through here."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def cut_next(self, *where: str) -> None:
        """Cut the next INSERTs of prices, one after the other, at these places."""
        with self._lock:
            self._armed += where

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            _drop(each)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        self._open |= {client, server}
        try:
            folder = parse_qs(urlsplit(self._get_upstream()).query)["host"][0]
            server.connect(f"{folder}/{_NAME}")
            wire = _Wire(self, client, server)
            threading.Thread(target=wire.carry_answers, daemon=True).start()
            wire.carry_requests()
        except OSError:
            pass  # the database is away: so is its connection
        finally:
            _drop(client)
            _drop(server)
            self._open -= {client, server}

    def take_cut(self) -> str | None:
        """Return where this INSERT is to be cut; None if it may pass."""
        with self._lock:
            if not self._armed:
                return None
            self.cuts.append(self._armed.pop(0))
            return self.cuts[-1]


class _Wire:
    def __init__(self, proxy: PostgresProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._texts: list[str] = []
        self._swallow = False
        self._parsed = ""
        self._cut: str | None = None

    def carry_answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(_CHUNK):
                if self._swallow:
                    break
                self._client.sendall(data)
        _drop(self._client)
        _drop(self._server)

    def carry_requests(self) -> None:
        buffer = b""
        started = False
        while data := self._client.recv(_CHUNK):
            buffer += data
            while frame := _take_frame(buffer, started=started):
                buffer = buffer[len(frame) :]
                if not started:
                    # Cancel and TLS requests are no start.
                    started = int.from_bytes(frame[4:8], "big") == _STARTUP
                    if started:
                        self._proxy.statements.append(self._texts)
                elif not self._pass(frame):
                    return
                self._server.sendall(frame)
                if self._cut == UNDER_WAY and frame[:1] == b"S":
                    return

    def _pass(self, frame: bytes) -> bool:
        """Look at a request; tell whether the wire holds."""
        kind = frame[:1]
        if kind == b"Q":
            self._texts.append(_read_text(frame, 5))
        elif kind == b"P":
            self._parsed = _read_text(frame, frame.index(b"\0", 5) + 1)
        elif kind == b"E":
            # What was only parsed was not done: asyncpg parses some statements twice.
            self._texts.append(self._parsed)
            if "INSERT INTO prices" in self._parsed:
                self._cut = self._proxy.take_cut()
                self._swallow = self._cut == COMMITTED
        # The Execute has been carried on; its Sync, which commits, never comes.
        return not (kind == b"S" and self._cut == ROLLED_BACK)


def _take_frame(buffer: bytes, *, started: bool) -> bytes:
    """Return the first whole frame; no bytes if there is none yet."""
    head = 1 if started else 0
    if len(buffer) < head + 4:
        return b""
    end = head + int.from_bytes(buffer[head : head + 4], "big")
    return buffer[:end] if len(buffer) >= end else b""


def _read_text(frame: bytes, start: int) -> str:
    return frame[start : frame.index(b"\0", start)].decode()


def _drop(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
