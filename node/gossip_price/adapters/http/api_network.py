"""`/api/v1/network`: who is there, who hears whom, made anew no more often than it is worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.http.network_view import NetworkFacts, describe_network
from gossip_price.adapters.http.parameters import Parameters

#: An answer serves all who ask within so many times the time that making it took: a big network's
#: (256 members, a tenth of a second) then takes a twentieth of the loop's time, however many ask.
REST: Final = 20


class NetworkPage:
    """The answer, kept for a moment. `mono_s` is a monotonic clock."""

    def __init__(
        self, gather: Callable[[], NetworkFacts], mono_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._gather = gather
        self._mono_s = mono_s
        self._body = b""
        self._fresh_until_s = 0.0

    def read(self) -> bytes:
        """Return the JSON."""
        began_s = self._mono_s()
        if not self._body or began_s >= self._fresh_until_s:
            self._body = msgspec.json.encode(describe_network(self._gather()))
            ended_s = self._mono_s()
            self._fresh_until_s = ended_s + REST * (ended_s - began_s)
        return self._body


def make_network_routes(page: NetworkPage) -> list[BaseRoute]:
    """Return the route that shows `page`."""

    async def network(request: Request) -> Response:
        Parameters(request, ())
        headers = {"cache-control": "no-store"}
        return Response(page.read(), media_type="application/json", headers=headers)

    return [Route("/api/v1/network", network, methods=["GET"])]
