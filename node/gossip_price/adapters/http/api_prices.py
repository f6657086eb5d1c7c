"""`/api/v1/prices`: pages of prices, the newest one, and one by its id, checked as it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.archive import (
    PAGE_MAX,
    Archive,
    FalseRowError,
    FoundPrice,
    OlderUnavailableError,
)
from gossip_price.adapters.http.parameters import Parameters, format_cursor, get_id
from gossip_price.adapters.http.problems import ProblemError
from gossip_price.core.price import format_list
from gossip_price.network.document import INTEGER_MAX

LIMIT_DEFAULT: Final = 50
#: Pages of rows that prove nothing which are read for the newest price that does.
_FALSE_PAGES_MAX: Final = 4
#: A database that is away is tried again after a second; a restart takes some.
RETRY_S: Final = "5"


def make_price_routes(archive: Archive) -> list[BaseRoute]:
    """Return the routes that show what `archive` holds."""

    async def prices(request: Request) -> Response:
        given = Parameters(request, ("pair", "from", "to", "limit", "cursor"))
        pair = given.get_pair(archive.list_pairs())
        begin, end = given.get_span("from", "to")
        limit = given.get_limit(LIMIT_DEFAULT, PAGE_MAX)
        before = (end, b"")
        cursor = given.get_cursor()
        before = before if cursor is None else min(before, cursor)
        try:
            page = await archive.read_page(pair, before, begin, limit)
        except OlderUnavailableError as error:
            raise _make_unavailable(error) from error
        following = None if page.next is None else format_cursor(page.next)
        mapping = format_list([price.to_mapping() for price in page.prices], following)
        if page.unproven:
            mapping["unproven"] = page.unproven
        return answer_json(mapping)

    async def latest(request: Request) -> Response:
        pairs = archive.list_pairs()
        pair = Parameters(request, ("pair",)).get_pair(pairs)
        if pair is None:
            if len(pairs) > 1:
                detail = f"pair: it is required where there are several, allowed: {pairs}"
                raise ProblemError(400, detail, parameter="pair")
            (pair,) = pairs
        try:
            price = await _find_newest(archive, pair)
        except OlderUnavailableError as error:
            raise _make_unavailable(error) from error
        except FalseRowError as error:
            raise _make_false(error) from error
        if price is None:
            raise ProblemError(404, f"no price of {pair} has settled yet")
        return answer_json(price.to_mapping())

    async def price(request: Request) -> Response:
        id_ = get_id(request)
        Parameters(request, ())
        try:
            found = await archive.find(id_)
        except OlderUnavailableError as error:
            raise _make_unavailable(error) from error
        except FalseRowError as error:
            raise _make_false(error) from error
        if found is None:
            raise ProblemError(404, f"no settled price has the id 0x{id_.hex()}")
        return answer_json({**found.to_mapping(), "verified": True})

    return [
        Route("/api/v1/prices", prices, methods=["GET"]),
        Route("/api/v1/prices/latest", latest, methods=["GET"]),
        Route("/api/v1/prices/{id}", price, methods=["GET"]),
    ]


async def _find_newest(archive: Archive, pair: str) -> FoundPrice | None:
    """Return the newest price; rows that prove nothing are passed over, as far as is bearable.

    Raises FalseRowError.
    """
    page = await archive.read_page(pair, (INTEGER_MAX, b""), 0, 1)
    for _ in range(_FALSE_PAGES_MAX):
        if page.prices or page.next is None:
            return page.prices[0] if page.prices else None
        page = await archive.read_page(pair, page.next, 0, LIMIT_DEFAULT)
    raise FalseRowError("unproven", f"the newest rows of {pair}, all of them")


def _make_false(error: FalseRowError) -> ProblemError:
    return ProblemError(502, f"what the database has proves nothing: {error}")


def _make_unavailable(error: OlderUnavailableError) -> ProblemError:
    return ProblemError(503, str(error), headers={"retry-after": RETRY_S})


def answer_json(mapping: Mapping[str, Any]) -> Response:
    """Return 200 with this JSON, which is to be asked for anew each time."""
    return Response(
        msgspec.json.encode(mapping),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )
