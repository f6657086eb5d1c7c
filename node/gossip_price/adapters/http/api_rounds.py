"""`/api/v1/rounds`: what happens now, and what became of the rounds before."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.http.api_prices import answer_json
from gossip_price.adapters.http.parameters import Parameters
from gossip_price.adapters.live import LiveBoard

LIMIT_DEFAULT: Final = 20
#: Rounds in one answer: at 256 members 25 000 signers, 1.5 MB.
LIMIT_MAX: Final = 100


def make_round_routes(board: LiveBoard) -> list[BaseRoute]:
    """Return the route that shows what `board` holds."""

    async def rounds(request: Request) -> Response:
        limit = Parameters(request, ("limit",)).get_limit(LIMIT_DEFAULT, LIMIT_MAX)
        return answer_json(board.describe_rounds(limit))

    return [Route("/api/v1/rounds", rounds, methods=["GET"])]
