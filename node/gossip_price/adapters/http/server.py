"""Serve an ASGI app inside the running asyncio loop: one socket, no signals, no access log.

Knows nothing of what is served. uvicorn does the HTTP; bounds and shutdown are set here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gossip_price.adapters.http.routes import (
    Health,
    make_app,
    make_metrics_routes,
    make_probe_routes,
)

#: Connections at once; beyond it a 503. Half is for listeners to events (`live.LISTENERS_MAX`), so
#: that probes, a scraper and readers are answered while all of those are there.
CONNECTIONS_MAX: Final = 512
#: Request line and headers together.
HEAD_BYTES_MAX: Final = 16 * 1024
#: An idle connection is closed after this time.
IDLE_S: Final = 5
#: Requests under way get this long when we leave.
GRACE_S: Final = 1


class AppServer:
    """Serves `app` on `address` ("host:port"; IPv6 in brackets; port 0 takes a free one)."""

    def __init__(self, address: str, app: ASGIApp) -> None:
        self._host, self._port = _parse_address(address)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._running: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """The address as "host:port", with the real port once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port; the real one once started."""
        return self._port

    @property
    def url(self) -> str:
        """The address as a URL without a path."""
        return f"http://{self.address}"

    async def start(self) -> None:
        """Listen and return once requests are answered.

        Raises OSError naming the address when it is taken or not ours.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {self.address}: {error}") from error
        self._port = listener.getsockname()[1]
        self._running = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._running}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._running.done():
            self._running.result()

    async def aclose(self) -> None:
        """Stop listening, let requests under way end, close; at most GRACE_S and a little."""
        if self._running is not None:
            self._server.should_exit = True
            await self._running
            self._running = None


class HttpServer(AppServer):
    """What every process serves: probes, metrics, and the route lists it is given besides."""

    def __init__(
        self,
        address: str,
        health: Health,
        registry: CollectorRegistry,
        routes: Sequence[BaseRoute] = (),
        *,
        cors_origins: Sequence[str] = (),
    ) -> None:
        own = [*make_probe_routes(health), *make_metrics_routes(registry)]
        super().__init__(address, make_app([*own, *routes], cors_origins=cors_origins))


class _Protocol(H11Protocol):
    """One connection. Who serves an endless answer may cut it off: `state["abort"]`.

    Closing would wait until all is sent, for ever if the reader does not read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}


class _Server(uvicorn.Server):
    """uvicorn's server as a guest in our loop: signals are the process's, not its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _parse_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise ValueError(f"address: {address!r} given, allowed: host:port, e.g. 127.0.0.1:8080")
    return host, int(port)
