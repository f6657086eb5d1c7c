from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gossip_price.adapters.http import HttpServer


class Condition:
    """A process whose health a test decides."""

    def __init__(self) -> None:
        self.live: dict[str, str] = {}
        self.ready: dict[str, str] = {}

    def find_live_problems(self) -> dict[str, str]:
        return self.live

    def find_ready_problems(self) -> dict[str, str]:
        return self.ready


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(_request: Request) -> Response:
    raise RuntimeError("our own mistake")


@pytest.fixture
def condition() -> Condition:
    return Condition()


@pytest.fixture
async def client(condition: Condition) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    Gauge("gossip_price_peers", "How many peers are connected?", registry=registry).set(3)
    routes = [Route("/api/v1/hello", hello), Route("/broken", broken)]
    server = HttpServer("127.0.0.1:0", condition, registry, routes)
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as connected:
        yield connected
    await server.aclose()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_healthy_process_says_ok(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_unready_names_each_problem_and_is_not_dead(
    client: httpx.AsyncClient, condition: Condition
) -> None:
    condition.ready = {"peers": "0 connected, needs 1", "journal": "the disk is full"}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unready", "problems": condition.ready}
    assert (await client.get("/livez")).status_code == 200


async def test_a_stuck_process_is_not_live(client: httpx.AsyncClient, condition: Condition) -> None:
    condition.live = {"engine": "no turn for 60 s"}
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()["status"]) == (503, "dead")


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["content-type"].count("charset") == 1
    assert "gossip_price_peers 3.0\n" in answer.text


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/readyz")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_further_route_lists_are_served_beside_the_probes(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/hello")).text == "hello"


REMEDIES = {
    404: "there is no such path; /docs describes the API",
    405: "allowed: GET and HEAD",
}


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/livez/", 404, "Not Found"),
        ("POST", "/livez", 405, "Method Not Allowed"),
        ("DELETE", "/metrics", 405, "Method Not Allowed"),
    ],
)
async def test_anything_else_is_a_json_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, title: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": f"{method} {path}: {REMEDIES[status]}",
    }


async def test_our_own_mistake_is_a_500_without_its_text_and_is_logged_whole(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/broken")
    assert answer.status_code == 500
    assert "own mistake" not in answer.text
    assert "own mistake" in caplog.text


async def test_a_request_with_endless_headers_is_cut(client: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"GET /livez HTTP/1.1\r\nx: " + b"x" * 17_000)  # and no end of them
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_taken_address_is_an_error_that_names_it(condition: Condition) -> None:
    first = HttpServer("127.0.0.1:0", condition, CollectorRegistry())
    await first.start()
    second = HttpServer(first.address, condition, CollectorRegistry())
    with pytest.raises(OSError, match=f"cannot listen on {first.address}"):
        await second.start()
    await second.aclose()
    await first.aclose()


@pytest.mark.parametrize("address", ["8080", "localhost", "a:b", ":80", "a:70000", "a:-1", ""])
def test_an_address_that_is_none_is_refused(condition: Condition, address: str) -> None:
    with pytest.raises(ValueError, match="allowed: host:port"):
        HttpServer(address, condition, CollectorRegistry())


async def test_it_leaves_the_process_s_signals_alone_and_lets_go_of_the_port(
    condition: Condition,
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    server = HttpServer("127.0.0.1:0", condition, CollectorRegistry())
    await server.start()
    assert {number: signal.getsignal(number) for number in before} == before
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    await server.aclose()
    idle.close()
    again = HttpServer(server.address, condition, CollectorRegistry())
    await again.start()
    await again.aclose()
