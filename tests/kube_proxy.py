"""A bad network between the operator and the API server: an HTTP proxy that a test commands.

It passes requests on with the operator's token, watches as they stream, and does with each what
the test's rule says: answer an error itself, cut the line before or after, or wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from kube_cluster import Cluster

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Ask:
    """One request on its way: `is_watch` tells the streams from the rest."""

    method: str
    path: str
    is_watch: bool

    @property
    def is_write(self) -> bool:
        return self.method in WRITES and "/leases" not in self.path


@dataclass(frozen=True)
class Fault:
    """What happens to a request. `status` 0 cuts the line; `is_after`: once it was carried out."""

    status: int = 0
    is_after: bool = False
    retry_after: str = ""


Rule = Callable[[Ask], Fault | None]


class Proxy:
    """`rule` judges each request; `after_write` is told of each write that was carried out.

    `watch_delay_s`: what a watch tells comes so much later.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._streams: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.url = ""
        self.rule: Rule = lambda _ask: None
        self.after_write: Callable[[Ask], None] = lambda _ask: None
        self.is_cut = False
        self.watch_delay_s = 0.0
        self.asked: list[Ask] = []
        #: What watches were told, as it came.
        self.streamed: list[bytes] = []

    def cut(self) -> None:
        """No request gets through any more, and every watch ends."""
        self.is_cut = True
        for stream in self._streams:
            stream.cancel()

    def mend(self) -> None:
        self.is_cut = False

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Proxy]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, trust_env=False
        ) as session:
            self._session = session
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                self.cut()
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        ask = Ask(request.method, request.path, request.query.get("watch") == "true")
        self.asked.append(ask)
        fault = Fault() if self.is_cut else self.rule(ask)
        if fault is not None and not fault.is_after:
            return self._fail(request, fault)
        assert self._session is not None
        headers = {
            key: value
            for key, value in request.headers.items()
            if key.lower() not in ("host", "connection", "content-length", "transfer-encoding")
        }
        async with self._session.request(
            request.method,
            self._cluster.url + request.path_qs,
            headers=headers,
            data=await request.read() or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if ask.is_watch and answer.status == 200:
                return await self._stream(request, answer)
            body = await answer.read()
        if fault is not None:
            return self._fail(request, fault)
        if ask.is_write and answer.status < 300:
            self.after_write(ask)
        kept = {
            key: value
            for key, value in answer.headers.items()
            if key.lower() in ("content-type", "content-encoding", "retry-after")
        }
        return web.Response(status=answer.status, body=body, headers=kept)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        if "content-encoding" in answer.headers:
            response.headers["content-encoding"] = answer.headers["content-encoding"]
        await response.prepare(request)

        async def pass_on() -> None:
            async for chunk in answer.content.iter_any():
                self.streamed.append(chunk)
                await asyncio.sleep(self.watch_delay_s)
                await response.write(chunk)

        task = asyncio.create_task(pass_on())
        self._streams.add(task)
        try:
            with suppress(asyncio.CancelledError, aiohttp.ClientError, ConnectionError):
                await task
        finally:
            task.cancel()
            self._streams.discard(task)
        if request.transport is not None:
            request.transport.abort()
        return response

    def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.status == 0:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": "the test says so",
            "code": fault.status,
        }
        headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
        return web.json_response(body, status=fault.status, headers=headers)
