"""What a bootstrap node does not have: it introduces others and sees no prices."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.http.problems import ProblemError

_PATHS: Final = (
    "/api/v1/prices",
    "/api/v1/prices/latest",
    "/api/v1/prices/{id}",
    "/api/v1/rounds",
    "/api/v1/events",
)


def make_absent_routes() -> list[BaseRoute]:
    """Return routes that say where to ask instead."""

    async def absent(_request: Request) -> Response:
        raise ProblemError(404, "a bootstrap node sees no prices: ask a member or a listener")

    return [Route(path, absent, methods=["GET"]) for path in _PATHS]
