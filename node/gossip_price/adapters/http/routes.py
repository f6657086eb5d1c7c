"""Probes and metrics as route lists, and the app that any number of such lists make.

A route list is a function of what it shows; the API and the live page come as further ones.
Every answer that is not what was asked for is a JSON problem (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gossip_price.adapters.http.parameters import Parameters
from gossip_price.adapters.http.problems import show_http_problem, show_own_problem
from gossip_price.adapters.http.rate_limit import RateLimit, RateLimiter
from gossip_price.adapters.http.security import SecurityHeaders


class Health(Protocol):
    """What a process knows about its own health: a name and a message for each problem."""

    def find_live_problems(self) -> Mapping[str, str]:
        """Return why this process should be restarted; empty while it makes progress."""

    def find_ready_problems(self) -> Mapping[str, str]:
        """Return why this process cannot do its work now; empty when it can."""


def make_probe_routes(health: Health) -> list[BaseRoute]:
    """Return `/livez` and `/readyz`: 200 `{"status":"ok"}`, or 503 with the problems by name."""

    async def livez(_request: Request) -> Response:
        return _answer(health.find_live_problems(), "dead")

    async def readyz(_request: Request) -> Response:
        return _answer(health.find_ready_problems(), "unready")

    return [Route("/livez", livez, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def make_metrics_routes(registry: CollectorRegistry) -> list[BaseRoute]:
    """Return `/metrics`: what `registry` holds, in Prometheus's text exposition format.

    Collected on the loop's thread, where all that changes the numbers runs too.
    """

    async def metrics(_request: Request) -> Response:
        # The type is given as a header: Starlette would add a second charset to `media_type`.
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/metrics", metrics, methods=["GET"])]


def make_status_routes(tell: Callable[[], Mapping[str, Any]]) -> list[BaseRoute]:
    """Return `/api/v1/status`: what the node tells of itself, see `adapters.status`."""

    async def status(request: Request) -> Response:
        Parameters(request, ())
        return JSONResponse(dict(tell()), headers={"cache-control": "no-store"})

    return [Route("/api/v1/status", status, methods=["GET"])]


def make_app(
    routes: Iterable[BaseRoute],
    *,
    cors_origins: Sequence[str] = (),
    limiter: RateLimiter | None = None,
) -> ASGIApp:
    """Return the app of these routes, first match first; GET (and with it HEAD) is their choice.

    Pages of `cors_origins` may read it in a browser; "*" are all pages. `limiter` is one of the
    app's own unless it is given.
    """
    middleware = [Middleware(RateLimit, limiter=limiter or RateLimiter())]
    if cors_origins:
        cors = Middleware(CORSMiddleware, allow_origins=cors_origins, allow_methods=("GET",))
        # Outside, so that a page can read that it is too fast.
        middleware.insert(0, cors)
    app = Starlette(
        routes=list(routes),
        middleware=middleware,
        exception_handlers={HTTPException: show_http_problem, Exception: show_own_problem},
    )
    # /livez/ is another path, and a redirect there would be built from the Host header.
    app.router.redirect_slashes = False
    return SecurityHeaders(app)


def _answer(problems: Mapping[str, str], bad: str) -> Response:
    headers = {"cache-control": "no-store"}
    if problems:
        body = {"status": bad, "problems": dict(problems)}
        return JSONResponse(body, status_code=503, headers=headers)
    return JSONResponse({"status": "ok"}, headers=headers)
