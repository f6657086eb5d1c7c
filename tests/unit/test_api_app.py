"""What holds for every answer: allowances, headers, other origins, and what a bootstrap lacks."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api_node import connect
from gossip_price.adapters.http import NetworkFacts, NetworkPage, make_absent_routes, make_app
from gossip_price.adapters.http.rate_limit import (
    BURST,
    CLIENTS_MAX,
    RATE,
    RateLimiter,
    find_client,
)
from gossip_price.core.types import Now
from networks import make_network


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(_request: Request) -> Response:
    raise RuntimeError("our own mistake")


async def framed(_request: Request) -> Response:
    return PlainTextResponse("x", headers={"Content-Security-Policy": "default-src 'self'"})


ROUTES = [
    Route("/api/v1/hello", hello),
    Route("/api/v1/status", hello),
    Route("/livez", hello),
    Route("/metrics", hello),
    Route("/broken", broken),
    Route("/framed", framed),
]


class Clock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


async def test_too_fast_is_told_when_to_come_back() -> None:
    client = connect(make_app(ROUTES, limiter=RateLimiter(lambda: 0)))
    for _ in range(BURST):
        assert (await client.get("/api/v1/hello")).status_code == 200
    refused = await client.get("/api/v1/hello")
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    assert "more than 20 requests a second" in refused.json()["detail"]


async def test_who_is_too_fast_slows_nobody_else_and_no_probe() -> None:
    limiter = RateLimiter(lambda: 0)
    app = make_app(ROUTES, limiter=limiter)
    client = connect(app)
    while not limiter.take("127.0.0.1"):
        pass
    assert (await client.get("/api/v1/hello")).status_code == 429
    for path in ("/livez", "/metrics", "/api/v1/status"):
        assert (await client.get(path)).status_code == 200
    assert (await connect(app, "192.0.2.7").get("/api/v1/hello")).status_code == 200


def test_an_allowance_grows_back_at_its_rate() -> None:
    now_ns = 1_000
    limiter = RateLimiter(lambda: now_ns)
    assert [limiter.take("a") for _ in range(BURST)] == [0.0] * BURST
    assert limiter.take("a") == 1 / RATE
    now_ns += 10**9
    assert [bool(limiter.take("a")) for _ in range(RATE + 1)] == [False] * RATE + [True]
    now_ns += 3_600 * 10**9
    assert [limiter.take("a") for _ in range(BURST)] == [0.0] * BURST


def test_clients_are_remembered_in_bounded_memory() -> None:
    limiter = RateLimiter(lambda: 0)
    for number in range(CLIENTS_MAX + 100):
        limiter.take(f"client {number}")
    assert limiter.clients == CLIENTS_MAX


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_who_owns_the_address(host: str, client: str) -> None:
    assert find_client(host) == client


@pytest.mark.parametrize("path", ["/api/v1/hello", "/nothing", "/broken"])
async def test_every_answer_bears_the_security_headers(path: str) -> None:
    transport = httpx.ASGITransport(make_app(ROUTES), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_a_page_s_own_policy_stands() -> None:
    answer = await connect(make_app(ROUTES)).get("/framed")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_other_origins_may_read_nothing_by_default() -> None:
    client = connect(make_app(ROUTES))
    answer = await client.get("/api/v1/hello", headers={"origin": "https://a.example"})
    assert not any(name.startswith("access-control") for name in answer.headers)


async def test_configured_origins_may_read_and_others_may_not() -> None:
    client = connect(make_app(ROUTES, cors_origins=("https://a.example",)))
    for path in ("/api/v1/hello", "/nothing"):
        answer = await client.get(path, headers={"origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-credentials" not in answer.headers
    answer = await client.get("/api/v1/hello", headers={"origin": "https://b.example"})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"origin": "https://a.example", "access-control-request-method": "DELETE"}
    assert (await client.options("/api/v1/hello", headers=asked)).status_code == 400


@pytest.mark.parametrize(
    "path", ["/prices", "/prices/latest", "/prices/0x00", "/rounds", "/events"]
)
async def test_a_bootstrap_says_whom_to_ask(path: str) -> None:
    answer = await connect(make_app(make_absent_routes())).get("/api/v1" + path)
    assert answer.status_code == 404
    assert "ask a member" in answer.json()["detail"]


def test_a_big_network_is_described_no_more_often_than_it_is_worth() -> None:
    clock = Clock()
    made = []

    def gather() -> NetworkFacts:
        made.append(clock.s)
        clock.s += 0.1  # so long it takes
        return NetworkFacts(Now(0, 0), make_network(4).document, None, is_bootstrap=True)

    page = NetworkPage(gather, clock)
    for _ in range(100):
        page.read()
        clock.s += 0.1
    # Ten seconds and some: a twentieth of the time at most.
    assert len(made) == 5
