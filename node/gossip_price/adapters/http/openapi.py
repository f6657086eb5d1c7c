"""`/openapi.json`: every endpoint, parameter, answer and error, as OpenAPI 3.1. Made once.

The schemas are those of `answers` and `network_answers`, the numbers those of the modules that hold
to them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from msgspec import json

from gossip_price import __version__
from gossip_price.adapters.archive import PAGE_MAX
from gossip_price.adapters.http import (
    answers,
    api_prices,
    api_rounds,
    network_answers,
    rate_limit,
)
from gossip_price.adapters.http.parameters import TIME_ALLOWED
from gossip_price.adapters.live.events import EVENTS_MAX, LISTENERS_MAX

PROBLEM_TYPE: Final = "application/problem+json"

ABOUT: Final = (
    "What a node of a gossip-price network knows, to read: GET and HEAD alone. Prices are decimal"
    " text, times RFC 3339 in UTC. Each node answers for itself; what it says is proven by the"
    " signatures in it and not by who says it. Readers should ignore fields that they do not know."
)

#: What each event tells, beside `at`.
EVENTS: Final = {
    "observation": "a member saw a price: pair, round, time, member, price",
    "proposal": "a report of a round came for the first time: id, proposer, price, needed …",
    "signature": "one more member has signed it: member, signers, needed, settlesAt",
    "proven": "a quorum has signed it",
    "settled": "nobody signed it any more for the settle time",
    "stored": "it is in the database: member is who wrote it",
    "lost": "a round ended without a proven price: reason, signers, needed",
    "network": "who is there, or who hears whom, is not what it was: ask `/api/v1/network`",
    "gap": "what came after `Last-Event-ID` is no more kept: load anew what you show",
}

_PROBLEMS: Final = {
    400: "a parameter is at fault; `parameter` names it",
    404: "there is nothing of that name; a bootstrap has no prices, rounds and events at all",
    429: (
        f"too fast: {rate_limit.RATE} requests a second in the long run, {rate_limit.BURST} at"
        " once; `Retry-After` says when to come back"
    ),
    502: "what the database has in this place proves nothing; `detail` says why",
    503: "it cannot be had now; `Retry-After` says when to ask again",
}


class Parameter(NamedTuple):
    """One parameter; `schema` is JSON Schema."""

    name: str
    about: str
    schema: dict[str, Any]
    place: str = "query"


class Endpoint(NamedTuple):
    """One endpoint. `answer` is a type of `answers`, or a media type of text."""

    path: str
    name: str
    title: str
    about: str
    answer: Any
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = (400, 429)


_PAIR: Final = Parameter("pair", "one of the network's pairs", {"type": "string"})
_TIME: Final = {"type": "string", "format": "date-time"}

ENDPOINTS: Final = (
    Endpoint(
        "/api/v1/prices",
        "listPrices",
        "Settled prices, newest first",
        "A page ends after `limit` prices, or earlier in a network of many members; `next` is the"
        " cursor of the page that follows. Rows that are added meanwhile make no page repeat a"
        " price or leave one out. Recent prices are the node's own and are there while its database"
        " is away; older ones are then refused with 503. Each price stands with its whole proof.",
        answers.PriceList,
        (
            _PAIR,
            Parameter("from", f"rounds that began at this time or later; {TIME_ALLOWED}", _TIME),
            Parameter("to", "rounds that began before this time; not before `from`", _TIME),
            Parameter(
                "limit",
                "prices in a page at most",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": PAGE_MAX,
                    "default": api_prices.LIMIT_DEFAULT,
                },
            ),
            Parameter("cursor", "`next` of the page before", {"type": "string"}),
        ),
        (400, 404, 429, 503),
    ),
    Endpoint(
        "/api/v1/prices/latest",
        "getLatestPrice",
        "The newest settled price of a pair",
        "`pair` may be left out where the network has one.",
        answers.Price,
        (_PAIR,),
        (400, 404, 429, 502, 503),
    ),
    Endpoint(
        "/api/v1/prices/{id}",
        "getPrice",
        "One price, checked for this answer",
        "The id was computed anew from the report, each signer recovered from its signature and"
        " found in the epoch, and the epoch in the chain that this node follows. To check it"
        " without trust in this node, give it to `gossip-price verify --trust HASH`.",
        answers.CheckedPrice,
        (Parameter("id", "0x and 64 hex digits in lower case", {"type": "string"}, "path"),),
        (400, 404, 429, 502, 503),
    ),
    Endpoint(
        "/api/v1/rounds",
        "listRounds",
        "What happens now",
        "The newest rounds that this process saw, from memory: who saw which price, who proposed,"
        " who has signed, what became of it.",
        answers.RoundList,
        (
            Parameter(
                "limit",
                "rounds, of all pairs together",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": api_rounds.LIMIT_MAX,
                    "default": api_rounds.LIMIT_DEFAULT,
                },
            ),
        ),
        (400, 404, 429),
    ),
    Endpoint(
        "/api/v1/events",
        "listen",
        "What happens, as it happens",
        "Server-sent events (`EventSource` in a browser). `data` is JSON. Events: "
        + "; ".join(f"**{name}**, {words}" for name, words in EVENTS.items())
        + f". The newest {EVENTS_MAX} are kept: who comes back with `Last-Event-ID` misses none of"
        f" these. {LISTENERS_MAX} may listen; who does not read what is sent is cut off.",
        "text/event-stream",
        (
            Parameter(
                "Last-Event-ID",
                "the id of the last event that was read",
                {"type": "string"},
                "header",
            ),
        ),
        (400, 404, 429, 503),
    ),
    Endpoint(
        "/api/v1/network",
        "getNetwork",
        "Who is there, and who hears whom",
        "The members of the epoch in force with what their signed heartbeats say, the matrix of"
        " receive counts, this node's connections, and how many members the quorum can spare.",
        network_answers.Network,
    ),
    Endpoint(
        "/api/v1/status",
        "getStatus",
        "What the node tells of itself",
        "For the operator: it is small, and no client is ever too fast here.",
        network_answers.Status,
        problems=(400,),
    ),
)


def make_openapi() -> dict[str, Any]:
    """Return the document as JSON values."""
    shown = [one.answer for one in ENDPOINTS if not isinstance(one.answer, str)]
    references, schemas = answers.make_components(*shown, answers.Event, answers.Problem)
    by_type = {id(kind): reference for kind, reference in zip(shown, references, strict=False)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gossip-price",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "paths": {one.path: {"get": _describe(one, by_type)} for one in ENDPOINTS},
        "components": {
            "schemas": schemas,
            "responses": {str(status): _describe_problem(status) for status in _PROBLEMS},
        },
    }


def encode_openapi() -> bytes:
    """Return the document's bytes."""
    return json.encode(make_openapi())


def _describe(one: Endpoint, by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    if isinstance(one.answer, str):
        content: dict[str, Any] = {one.answer: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": by_type[id(one.answer)]}}
    return {
        "operationId": one.name,
        "summary": one.title,
        "description": one.about,
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.place == "path",
                "description": parameter.about,
                "schema": parameter.schema,
            }
            for parameter in one.parameters
        ],
        "responses": {
            "200": {"description": one.title, "content": content},
            **{
                str(status): {"$ref": f"#/components/responses/{status}"} for status in one.problems
            },
        },
    }


def _describe_problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    described: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {PROBLEM_TYPE: {"schema": schema}},
    }
    if status in (429, 503):
        described["headers"] = {
            "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
        }
    return described
