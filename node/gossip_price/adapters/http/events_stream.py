"""`/api/v1/events`: server-sent events, for as long as somebody reads them.

Each listener is sent what is new, at most ten times a second; who does not take it in time is
cut off, and comes back with `Last-Event-ID` if it lives. Nobody is waited for.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from gossip_price.adapters.http.parameters import Parameters
from gossip_price.adapters.http.problems import GIVEN_MAX, ProblemError
from gossip_price.adapters.live import EventRing, Listener, TooManyListenersError

#: A comment after so long without an event: proxies cut what is silent for 60 s, and a connection
#: whose other end is gone is noticed.
KEEPALIVE_S: Final = 15.0
#: What was sent must have left our buffer (64 KiB; the kernel's comes on top) within this.
SEND_S: Final = 10.0
#: Events of the same moment leave together. An eye sees no difference, two hundred listeners are
#: a tenth of the work.
GATHER_S: Final = 0.1
#: A browser comes back so long after its connection broke.
RETRY_MS: Final = 2_000
#: One more listener than there is room for may try again after this.
FULL_RETRY_S: Final = "10"
_KEEPALIVE: Final = b": still here\n\n"
_START: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        # nginx would collect them until it has a page full.
        (b"x-accel-buffering", b"no"),
    ],
}


def make_event_routes(ring: EventRing) -> list[BaseRoute]:
    """Return the route that tells what `ring` is told."""
    return [Route("/api/v1/events", EventStream(ring), methods=["GET"])]


class EventStream:
    """An ASGI app of its own: Starlette's streams wait for ever for a reader that does not read."""

    def __init__(self, ring: EventRing) -> None:
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        Parameters(request, ())
        place, opening = self._open(request)
        if request.method == "HEAD":
            await send(_START)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            listener = self._ring.join(place)
        except TooManyListenersError as error:
            raise ProblemError(503, str(error), headers={"retry-after": FULL_RETRY_S}) from error
        gone = asyncio.create_task(_wait_until_gone(receive, listener))
        try:
            await self._serve(listener, opening, gone, send)
        except (_TooSlowError, TimeoutError):
            abort = scope.get("state", {}).get("abort")
            if abort is not None:
                abort()
                await gone
        finally:
            self._ring.leave(listener)
            gone.cancel()

    def _open(self, request: Request) -> tuple[int | None, bytes]:
        """Return after which number to go on, None for now, and what is sent first of all."""
        opening = f"retry: {RETRY_MS}\n"
        given = request.headers.get("last-event-id")
        if not given:
            # So that who comes back before the first event has a place to go on from.
            return None, f"{opening}id: {self._ring.place}\n\n".encode()
        try:
            place = self._ring.find_place(given)
        except ValueError as error:
            detail = f"Last-Event-ID: {given[:GIVEN_MAX]!r} given, allowed: {error}"
            raise ProblemError(400, detail, parameter="Last-Event-ID") from error
        if place is None:
            detail = "events were missed that are no more kept: load anew what you show"
            gap = self._ring.encode("gap", {"detail": detail})
            return None, f"{opening}\n".encode() + gap
        return place, f"{opening}\n".encode()

    async def _serve(
        self, listener: Listener, data: bytes, gone: asyncio.Task[None], send: Send
    ) -> None:
        """Send what is new until the listener has gone. Raises TimeoutError, _TooSlowError."""
        await _send(send, _START)
        while not gone.done():
            await _send(send, {"type": "http.response.body", "body": data, "more_body": True})
            await asyncio.sleep(GATHER_S)
            data = await self._wait(listener)
            if self._ring.is_closed:
                await _send(send, {"type": "http.response.body", "body": data})
                return

    async def _wait(self, listener: Listener) -> bytes:
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                await listener.news.wait()
        except TimeoutError:
            return _KEEPALIVE
        data = listener.take()
        if data is None:
            raise _TooSlowError
        return data


class _TooSlowError(Exception):
    """More has come than is kept while a listener took nothing."""


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(SEND_S):
        await send(message)


async def _wait_until_gone(receive: Receive, listener: Listener) -> None:
    """Return when the other end has closed, and wake who serves it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.news.set()
