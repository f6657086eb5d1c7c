"""An HTTP server on the loopback that answers with exactly the bytes a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gossip_price.core.types import Now

Respond = Callable[[str, asyncio.StreamWriter], object]


def make_response(
    body: bytes | str, *, status: str = "200 OK", kind: str = "application/json", extra: str = ""
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{extra}\r\n"
    )
    return head.encode() + data


class CannedServer:
    """Answers the n-th request for a path with the n-th of its responses, then with the last.

    A response is bytes, or an async function that writes to the stream as slowly or as
    wrongly as it likes. Every connection serves one request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self._responses: dict[str, list[object]] = {}
        self._handlers: set[asyncio.Task[None]] = set()

    def serve(self, path: str, *responses: object) -> str:
        """Say what `path` answers; return its URL."""
        self._responses[path] = list(responses)
        return self.url + path

    def count(self, path: str) -> int:
        return sum(head.split(" ")[1] == path for head in self.heads)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            responses = self._responses[head.split(" ")[1]]
            response = responses.pop(0) if len(responses) > 1 else responses[0]
            if isinstance(response, bytes):
                writer.write(response)
                await writer.drain()
            else:
                assert callable(response)
                await response(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away or the test is over, which is what some tests are about
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._handlers.discard(task)

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[CannedServer]:
        canned = cls()
        server = await asyncio.start_server(canned._handle, "127.0.0.1", 0)
        canned.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield canned
        finally:
            server.close()
            handlers = list(canned._handlers)
            for task in handlers:
                task.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)
            await server.wait_closed()


class StandingClock:
    """A clock that tells the time a test gave it."""

    def __init__(self, wall_ms: int) -> None:
        self.wall_ms = wall_ms

    def now(self) -> Now:
        return Now(self.wall_ms, 0)
