from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest

from canned_server import StandingClock
from gossip_price.adapters.feed import (
    DEFAULT_STARTS,
    FeedFormatError,
    Walk,
    make_feed_server,
    parse_start,
)
from gossip_price.adapters.sources import HttpPriceSource
from gossip_price.cli import feed as command
from gossip_price.cli import run
from gossip_price.network.document import PairTerms
from gossip_price.network.sources import make_coinbase_like

NOW_S = 1_700_000_000
WEEK = range(NOW_S, NOW_S + 7 * 86_400, 997)


@pytest.fixture
async def feed() -> AsyncIterator[httpx.AsyncClient]:
    server = make_feed_server("127.0.0.1:0", Walk(seed=7), lambda: NOW_S + 0.9)
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client
    await server.aclose()


async def test_the_feed_speaks_coinbase_s_format(feed: httpx.AsyncClient) -> None:
    answer = await feed.get("/v2/exchange-rates?currency=ETH")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    data = answer.json()["data"]
    assert data["currency"] == "ETH"
    assert set(data["rates"]) == {*DEFAULT_STARTS, "USD"}
    assert data["rates"]["ETH"] == "1"
    assert all(isinstance(rate, str) for rate in data["rates"].values())


async def test_the_base_is_dollars_unless_given_and_in_either_case(feed: httpx.AsyncClient) -> None:
    assert (await feed.get("/v2/exchange-rates")).json()["data"]["currency"] == "USD"
    answer = await feed.get("/v2/exchange-rates?currency=eth")
    assert answer.json()["data"]["currency"] == "ETH"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "exchange-rates?currency=XYZ", 400, ("invalid_request", "Invalid currency (XYZ)")),
        ("GET", "exchange-rates?currency=<b>", 400, ("invalid_request", "Invalid currency (?)")),
        ("GET", "nothing", 404, ("not_found", "Not found")),
        ("POST", "exchange-rates", 405, ("invalid_request", "Method not allowed")),
    ],
)
async def test_refusals_have_coinbase_s_format_and_status(
    feed: httpx.AsyncClient, method: str, path: str, status: int, error: tuple[str, str]
) -> None:
    answer = await feed.request(method, f"/v2/{path}")
    assert answer.status_code == status
    assert answer.json() == {"errors": [{"id": error[0], "message": error[1]}]}


async def test_a_node_s_own_source_reads_the_feed() -> None:
    walk = Walk(seed=7)
    server = make_feed_server("127.0.0.1:0", walk, lambda: NOW_S)
    await server.start()
    source = make_coinbase_like("simulated", server.url, simulated=True)
    observer = HttpPriceSource(
        [source], min_sources=1, max_age_s=60, timeout_s=5, clock=StandingClock(NOW_S * 1_000)
    )
    terms = PairTerms(pair="ETH-USD", decimals=8, min_price=1, max_price=10**15)
    observation = await observer.observe(terms, 5)
    await observer.aclose()
    await server.aclose()
    assert observation.price == int(walk.compute_value("ETH", NOW_S).scaleb(8))
    assert observer.simulated


def test_the_same_seed_and_second_give_the_same_price_to_all() -> None:
    assert Walk(seed=7).compute_rates("ETH", NOW_S) == Walk(seed=7).compute_rates("ETH", NOW_S)
    assert Walk(seed=7).compute_rates("ETH", NOW_S) != Walk(seed=8).compute_rates("ETH", NOW_S)


def test_neighbouring_seconds_lie_far_within_the_allowed_deviation() -> None:
    walk = Walk(seed=7)
    for second in WEEK:
        now, then = walk.compute_value("ETH", second), walk.compute_value("ETH", second + 1)
        assert abs(then / now - 1) < Decimal("0.001")


def test_the_price_wanders_but_stays_near_its_start() -> None:
    values = [Walk(seed=7).compute_value("ETH", second) for second in WEEK]
    assert len(set(values)) > len(values) * 0.99
    assert all(2_500 < value < 3_500 for value in values)


def test_without_volatility_the_price_stands() -> None:
    walk = Walk({"ETH": Decimal("2000.5")}, volatility=0)
    assert {walk.compute_rates("ETH", second)["USD"] for second in WEEK} == {"2000.5"}


def test_tiny_rates_are_written_without_an_exponent() -> None:
    walk = Walk({"ETH": Decimal(3_000), "SHIB": Decimal("0.000008")}, volatility=0)
    assert walk.compute_rates("SHIB", NOW_S)["ETH"] == "0.0000000026666667"


@pytest.mark.parametrize(
    "text", ["ETH=3000", "ETH-EUR=3000", "ETH-USD=0", "ETH-USD=-1", "ETH-USD=1e3", "USD-USD=2", ""]
)
def test_a_start_that_is_no_price_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(FeedFormatError, match=r"allowed: CURRENCY-USD=PRICE, e\.g\. ETH-USD=3000"):
        parse_start(text)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--start", "ETH=1"], 2, "--start: 'ETH=1' given"),
        (["--volatility", "2"], 2, "volatility: 2.0 given, allowed: 0 to 1"),
        (["--port", "70000"], 2, "address: '127.0.0.1:70000' given"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(["feed", *arguments]) == code
    assert message in capsys.readouterr().err


async def test_a_taken_port_is_exit_code_1_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    server = make_feed_server("127.0.0.1:0", Walk())
    await server.start()
    with pytest.raises(OSError, match=f"cannot listen on {server.address}"):
        await command._serve(server.address, Walk())
    await server.aclose()
