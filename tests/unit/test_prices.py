"""Which prices `up` takes: live ones if they are to be had, by asking a server of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from canned_server import CannedServer, make_response
from gossip_price.cli.prices import NoLivePricesError, choose_prices
from gossip_price.network.document import PairTerms
from gossip_price.network.sources import Source, make_coinbase_like

TERMS = PairTerms("ETH-USD", 8, 1, 10**15)
PATH = "/v2/exchange-rates?currency=ETH"
PRICE = make_response('{"data": {"currency": "ETH", "rates": {"USD": "2943.67"}}}')
TROUBLE = make_response("no", status="503 Service Unavailable")


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    async with CannedServer.start() as server:
        yield server


def ask(server: CannedServer, answer: bytes) -> tuple[Source, ...]:
    server.serve(PATH, answer)
    return (make_coinbase_like("exchange", server.url),)


@pytest.mark.parametrize("feed", ["auto", "live"])
async def test_live_prices_are_taken_where_they_are_to_be_had(
    server: CannedServer, feed: str
) -> None:
    sources = ask(server, PRICE)
    prices = await choose_prices(feed, sources, 1, TERMS)
    assert (prices.sources, prices.min_sources) == (sources, 1)
    assert prices.words == "live, from exchange"
    assert server.count(PATH) == 1


async def test_auto_simulates_where_no_live_price_is_to_be_had_and_says_why(
    server: CannedServer,
) -> None:
    prices = await choose_prices("auto", ask(server, TROUBLE), 1, TERMS)
    assert prices.sources == ()
    assert prices.words.startswith("SIMULATED: a random walk")
    assert "503" in prices.words


async def test_live_refuses_where_no_live_price_is_to_be_had(server: CannedServer) -> None:
    with pytest.raises(NoLivePricesError, match=r"from exchange \(.*503.*--feed simulated"):
        await choose_prices("live", ask(server, TROUBLE), 1, TERMS)


async def test_fewer_good_sources_than_needed_are_no_live_prices(server: CannedServer) -> None:
    broken = Source("broken", server.serve("/broken", TROUBLE), ("price",))
    prices = await choose_prices("auto", (*ask(server, PRICE), broken), 2, TERMS)
    assert prices.sources == ()


async def test_what_is_simulated_or_named_by_its_url_asks_nobody(server: CannedServer) -> None:
    sources = ask(server, PRICE)
    assert (await choose_prices("simulated", sources, 1, TERMS)).sources == ()
    (named,) = (await choose_prices(server.url, sources, 1, TERMS)).sources
    assert named == make_coinbase_like("feed", server.url)
    assert server.heads == []
