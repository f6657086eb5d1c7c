"""What /openapi.json promises, held against real answers; and the page that is made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import BaseRoute, Route

from api_node import ApiNode, connect, make_note
from gossip_price.adapters.http import (
    NetworkFacts,
    NetworkPage,
    make_absent_routes,
    make_app,
    make_docs_routes,
    make_event_routes,
    make_network_routes,
    make_price_routes,
    make_round_routes,
    make_status_routes,
)
from gossip_price.adapters.http.openapi import EVENTS, make_openapi
from gossip_price.adapters.live.board import LiveBoard
from gossip_price.adapters.status import Self, StatusBoard
from gossip_price.core.events import NoteKind
from gossip_price.ports import Connection
from networks import PAIR, make_network
from shown_world import ShownWorld

NETWORK = make_network(4)
ROWS = NETWORK.rows(3)
OPENAPI = make_openapi()


def resolve(schema: Any) -> Any:
    """Return a schema that allows no field beside those named, and none left out by mistake."""
    if isinstance(schema, list):
        return [resolve(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    resolved = {name: resolve(one) for name, one in schema.items()}
    if "properties" in resolved:
        resolved["additionalProperties"] = False
    return resolved


def check(name: str, value: Any) -> None:
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "components": resolve(OPENAPI["components"]),
    }
    jsonschema.validate(value, schema, cls=Draft202012Validator)


def find_answer(path: str, status: int) -> str:
    """Return the name of the schema that this answer is promised to have."""
    answer = OPENAPI["paths"][path]["get"]["responses"][str(status)]
    if "$ref" in answer:
        answer = OPENAPI["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    (content,) = answer["content"].values()
    name: str = content["schema"]["$ref"].rpartition("/")[2]
    return name


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ApiNode]:
    node = ApiNode(NETWORK, tmp_path)
    yield node
    node.journal.close()


@pytest.mark.parametrize("where", ["journal", "table"])
async def test_prices_are_as_promised(node: ApiNode, where: str) -> None:
    if where == "journal":
        node.settle(*ROWS[:2], stored=True)
        node.settle(ROWS[2])
    else:
        node.table.add(*ROWS)
        node.table.add(ROWS[0], price="1")
        node.wall_ms += 120_000
        node.restart()
    client = connect(node.make_app())
    page = (await client.get("/api/v1/prices")).json()
    check(find_answer("/api/v1/prices", 200), page)
    check(
        find_answer("/api/v1/prices/latest", 200),
        (await client.get("/api/v1/prices/latest")).json(),
    )
    one = await client.get("/api/v1/prices/0x" + ROWS[2].id.hex())
    check(find_answer("/api/v1/prices/{id}", 200), one.json())


async def test_rounds_and_the_network_are_as_promised_at_every_moment() -> None:
    world = ShownWorld(NETWORK)
    name = find_answer("/api/v1/rounds", 200)
    machine = world.nodes[0].turns.machine
    for second in range(0, 60, 2):
        world.run_until(NETWORK.document.start + second)
        assert isinstance(world.board, LiveBoard)
        client = connect(make_app(make_round_routes(world.board)))
        check(name, (await client.get("/api/v1/rounds")).json())
        now = world.nodes[0].clock.read(world.true_ms)
        facts = NetworkFacts(
            now,
            NETWORK.document,
            NETWORK.document.addresses[0],
            presences=machine.describe_presence(now),
            connections=[Connection(NETWORK.document.members[1].peer_id, True, 1, 1.5)],
            problems={"clock": "behind"},
        )
        await check_network(facts)
    assert {told for told, _ in world.told} <= EVENTS.keys() - {"gap"}
    for _, data in world.told:
        check("Event", {name: value for name, value in data.items() if value is not None})


async def check_network(facts: NetworkFacts) -> None:
    client = connect(make_app(make_network_routes(NetworkPage(lambda: facts))))
    check(find_answer("/api/v1/network", 200), (await client.get("/api/v1/network")).json())


async def test_a_bootstrap_s_network_is_as_promised() -> None:
    world = ShownWorld(NETWORK)
    now = world.nodes[0].clock.read(world.true_ms)
    facts = NetworkFacts(now, NETWORK.document, None, is_bootstrap=True, is_simulated=None)
    await check_network(facts)


async def test_the_status_is_as_promised(node: ApiNode) -> None:
    board = StatusBoard(
        Self(False, "16Uiu2", NETWORK.document.members[0].address, "1"),
        get_chain=lambda: node.chain,
        get_peers=lambda: ("16Uiu2other",),
        find_problems=dict,
        wall_s=lambda: 1,
    )
    client = connect(make_app(make_status_routes(board.tell)))
    check("Status", (await client.get("/api/v1/status")).json())
    for kind in (NoteKind.PROVEN, NoteKind.SETTLED):
        board.observe(make_note(kind, ROWS[0]))
    check("Status", (await client.get("/api/v1/status")).json())


async def test_problems_are_as_promised(node: ApiNode) -> None:
    node.table.add(ROWS[0], price="1")
    client = connect(node.make_app())
    missing = "/api/v1/prices/0x" + "00" * 32
    false = "/api/v1/prices/0x" + ROWS[0].id.hex()
    answers = [
        ("/api/v1/prices", 400, await client.get("/api/v1/prices?limit=x")),
        ("/api/v1/prices/latest", 404, await client.get("/api/v1/prices/latest")),
        ("/api/v1/prices/{id}", 404, await client.get(missing)),
        ("/api/v1/prices/{id}", 502, await client.get(false)),
        ("/api/v1/rounds", 400, await client.get("/api/v1/rounds?limit=101")),
        ("/api/v1/events", 400, await client.get("/api/v1/events?x=1")),
        (
            "/api/v1/status",
            400,
            await connect(make_app(make_status_routes(dict))).get("/api/v1/status?x=1"),
        ),
    ]
    node.table.is_up = False
    answers.append(("/api/v1/prices/{id}", 503, await client.get(missing)))
    for path, status, answer in answers:
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        check(find_answer(path, status), answer.json())


def test_it_is_an_openapi_document_with_schemas_that_are_schemas() -> None:
    assert OPENAPI["openapi"] == "3.1.0"
    for schema in OPENAPI["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = [item["get"]["operationId"] for item in OPENAPI["paths"].values()]
    assert len(set(names)) == len(names)
    text = json.dumps(OPENAPI)
    for name in OPENAPI["components"]["schemas"]:
        if name != "Event":  # the data of a stream, which OpenAPI 3.1 has no place for
            assert f'"#/components/schemas/{name}"' in text


def list_paths(routes: list[BaseRoute]) -> set[str]:
    return {route.path for route in routes if isinstance(route, Route)}


def test_every_route_of_the_api_is_described_and_no_other(node: ApiNode) -> None:
    facts = NetworkPage(lambda: None)  # type: ignore[arg-type,return-value]  # nobody asks
    api = [
        *make_price_routes(node.archive),
        *make_round_routes(node.board),
        *make_event_routes(node.ring),
        *make_network_routes(facts),
        *make_status_routes(dict),
    ]
    assert list_paths(api) == OPENAPI["paths"].keys()
    assert list_paths(make_absent_routes()) < list_paths(api)


async def test_every_described_parameter_is_taken_and_no_other(node: ApiNode) -> None:
    node.settle(*ROWS)
    client = connect(node.make_app())
    good = {
        "pair": PAIR,
        "from": "2027-01-16T00:00:00Z",
        "to": "2027-01-17T00:00:00Z",
        "limit": "1",
        "cursor": "1-" + "00" * 32,
    }
    for path, item in OPENAPI["paths"].items():
        if path in ("/api/v1/events", "/api/v1/network", "/api/v1/status"):
            continue
        url = path.replace("{id}", "0x" + ROWS[0].id.hex())
        names = {one["name"] for one in item["get"]["parameters"] if one["in"] == "query"}
        for name in [*good, "other"]:
            answer = await client.get(url, params={name: good.get(name, "1")})
            assert (answer.status_code == 200) == (name in names), (path, name, answer.text)


class Page(HTMLParser):
    """What a browser would load, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids |= {values["id"]} if "id" in values else set()
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if tag == "a":
            self.links.add(values["href"])
        elif "src" in values or "href" in values:
            self.loads.append(values.get("src") or values["href"])


async def test_the_docs_page_needs_no_internet_and_no_script(node: ApiNode) -> None:
    client = connect(make_app(make_docs_routes()))
    answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(answer.text)
    assert page.loads == ["docs.svg", "docs.css"]
    assert (await client.get("/docs.svg")).headers["content-type"] == "image/svg+xml"
    led = await client.get("/docs/")
    assert (led.status_code, led.headers["location"]) == (308, "../docs")
    assert (await client.get("/docs.css")).headers["content-type"] == "text/css; charset=utf-8"
    assert "script" not in page.tags
    assert page.inline == []
    # Every reference in the page leads somewhere.
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    for path, item in OPENAPI["paths"].items():
        assert f"<code>GET {path}</code>" in answer.text
        for one in item["get"]["parameters"]:
            assert f"<code>{one['name']}</code>" in answer.text


async def test_openapi_json_is_served_as_it_was_made() -> None:
    async with connect(make_app(make_docs_routes())) as client:
        answer: httpx.Response = await client.get("/openapi.json")
    assert answer.json() == OPENAPI
