"""The operator's own HTTP: `/livez` tests progress, `/readyz` whether the API server answers.

A passive operator is alive and ready: it waits, and that is its work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

#: The API server was silent so long: not our fault, and no restart helps; but not ready either.
SILENT_S: Final = 90.0


def make_probes(
    find_live_problem: Callable[[float], str | None],
    get_answered_s: Callable[[], float],
    registry: CollectorRegistry,
) -> web.Application:
    """Return the app. `find_live_problem` is given the loop's time; `/metrics` shows `registry`."""

    async def livez(_request: web.Request) -> web.Response:
        problem = find_live_problem(asyncio.get_running_loop().time())
        return _answer(problem)

    async def readyz(_request: web.Request) -> web.Response:
        silent_s = asyncio.get_running_loop().time() - get_answered_s()
        silent = f"the API server did not answer for {silent_s:.0f} s"
        return _answer(silent if silent_s > SILENT_S else None)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return app


def _answer(problem: str | None) -> web.Response:
    if problem is None:
        return web.json_response({"status": "ok"})
    return web.json_response({"status": "failing", "problem": problem}, status=503)
