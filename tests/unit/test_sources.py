from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned_server import CannedServer, StandingClock, make_response
from gossip_price.adapters.sources import HttpPriceSource
from gossip_price.adapters.sources.answer import WrongAnswerError, read_quote
from gossip_price.core.types import Observation
from gossip_price.network.document import PairTerms
from gossip_price.network.sources import PRESETS, Request, Source, make_coinbase_like
from gossip_price.ports import NoObservationError

NOW_S = 1_700_000_000
TERMS = PairTerms(pair="ETH-USD", decimals=2, min_price=1, max_price=10_000_000)


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    async with CannedServer.start() as canned:
        yield canned


class Pauses:
    """Stands in for sleeping: remembers how long it was asked to."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def observe(
    *sources: Source,
    min_sources: int = 1,
    timeout_s: float = 5,
    deadline_s: float = 20,
    terms: PairTerms = TERMS,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> tuple[Observation | NoObservationError, dict[tuple[str, str], int]]:
    """Return the observation, or the NoObservationError, and the counters."""
    observer = HttpPriceSource(
        sources,
        min_sources=min_sources,
        max_age_s=60,
        timeout_s=timeout_s,
        clock=StandingClock(NOW_S * 1_000 + 999),
        dice=lambda: 0.5,
        sleep=sleep or Pauses(),
    )
    try:
        result: Observation | NoObservationError = await observer.observe(terms, deadline_s)
    except NoObservationError as error:
        result = error
    finally:
        await observer.aclose()
    return result, dict(observer.get_counters())


async def observe_well(
    *sources: Source, **options: Any
) -> tuple[Observation, dict[tuple[str, str], int]]:
    """Return what was observed; there must be something."""
    result, counters = await observe(*sources, **options)
    assert isinstance(result, Observation), result
    return result, counters


def at(server: CannedServer, name: str, *responses: object) -> Source:
    return Source(name, server.serve(f"/{name}", *responses), ("price",))


def priced(text: str) -> bytes:
    return make_response(f'{{"price": {text}}}')


# --- the presets' real formats ---------------------------------------------------------------

PRESET_BODIES = {
    "coinbase": '{"data":{"currency":"ETH","rates":{"AED":"11022.0","USD":"3001.125"}}}',
    "kraken": '{"error":[],"result":{"XETHZUSD":{"a":["3001.20","1","1.000"],"b":["3001.10","8",'
    '"8.000"],"c":["3001.12500","0.01"],"v":["1","2"],"p":["1","2"],"t":[1,2],"o":"2999.0"}}}',
    "binance": '{"symbol":"ETHUSDT","openPrice":"2950.00","lastPrice":"3001.12500000",'
    f'"openTime":1,"closeTime":{NOW_S * 1_000}}}',
    "bitstamp": f'{{"timestamp":"{NOW_S}","open":"2950.0","last":"3001.125","bid":"3001.1"}}',
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_reads_its_exchange_s_real_format(name: str) -> None:
    request = PRESETS[name].expand("ETH-USD")
    quote = read_quote(PRESET_BODIES[name].encode(), request, PRESETS[name].time_unit)
    assert quote.price == Decimal("3001.125")
    assert quote.time_ms == (NOW_S * 1_000 if request.time_path else None)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("coinbase", "https://api.coinbase.com/v2/exchange-rates?currency=BTC"),
        ("kraken", "https://api.kraken.com/0/public/Ticker?pair=XBTEUR"),
        ("binance", "https://data-api.binance.vision/api/v3/ticker/24hr?type=MINI&symbol=BTCEUR"),
        ("bitstamp", "https://www.bitstamp.net/api/v2/ticker/btceur/"),
    ],
)
def test_a_preset_asks_for_the_pair_in_the_exchange_s_spelling(name: str, url: str) -> None:
    assert PRESETS[name].expand("BTC-EUR").url == url


async def test_coinbase_s_answer_becomes_an_observation(server: CannedServer) -> None:
    server.serve("/v2/exchange-rates?currency=ETH", make_response(PRESET_BODIES["coinbase"]))
    result, counters = await observe_well(make_coinbase_like("coinbase", server.url))
    assert (result.pair, result.price) == ("ETH-USD", 300112)  # half to even
    assert (result.observed_at, result.sources) == (NOW_S, ("coinbase",))
    assert counters == {("coinbase", "ok"): 1}


# --- wrong answers: each its reason, and no observation --------------------------------------


def gzipped(body: bytes) -> bytes:
    return make_response(gzip.compress(body), extra="content-encoding: gzip\r\n")


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:  # a client that reads on would never end; ours closes the connection
        writer.write(b" " * 65_536)
        await writer.drain()


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)  # the test is about a server that is slow


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")


WRONG: dict[str, tuple[object, str]] = {
    "HTML": (make_response("<html>busy</html>", kind="text/html"), "content_type"),
    "HTML that calls itself JSON": (make_response("<html>busy</html>"), "invalid_json"),
    "a picture": (make_response(b"\x89PNG", kind="image/png"), "content_type"),
    "429": (make_response("{}", status="429 Too Many Requests"), "http_429"),
    "403": (make_response("{}", status="403 Forbidden"), "http_4xx"),
    "503": (make_response("{}", status="503 Unavailable"), "http_5xx"),
    "204": (make_response("", status="204 No Content"), "http_2xx"),
    "redirect to elsewhere": (
        make_response("", status="302 Found", extra="location: http://127.0.0.1:9/price\r\n"),
        "redirect",
    ),
    "NaN": (priced("NaN"), "not_finite"),
    "NaN as text": (priced('"NaN"'), "not_finite"),
    "Infinity": (priced("Infinity"), "not_finite"),
    "minus infinity as text": (priced('"-inf"'), "not_finite"),
    "negative": (priced('"-3000.00"'), "negative"),
    "zero": (priced('"0.00"'), "zero"),
    "rounds to zero": (priced('"0.001"'), "out_of_range"),
    "a word": (priced('"three thousand"'), "not_a_number"),
    "empty text": (priced('""'), "not_a_number"),
    "a newline after": (priced('"3000\\n"'), "not_a_number"),
    "thousands' commas": (priced('"3,000.00"'), "not_a_number"),
    "underscores": (priced('"3_000"'), "not_a_number"),
    "other scripts' digits": (priced('"\u0663\u0660\u0660\u0660"'), "not_a_number"),
    "hexadecimal": (priced('"0x0bb8"'), "not_a_number"),
    "exponent": (priced("3e3"), "exponent"),
    "exponent as text": (priced('"3.0E+3"'), "exponent"),
    "huge exponent": (priced("1e999999999"), "exponent"),
    "true": (priced("true"), "not_a_number"),
    "null": (priced("null"), "not_a_number"),
    "nested object": (priced('{"usd": "3000"}'), "not_a_number"),
    "list": (priced('["3000"]'), "not_a_number"),
    "40 digits": (priced("3" * 40), "too_many_digits"),
    "40 decimals": (priced('"3000.' + "1" * 40 + '"'), "too_many_digits"),
    "60 000 digits": (priced("3" * 60_000), "too_many_digits"),
    "60 000 digits and a letter": (priced('"' + "3" * 60_000 + 'f"'), "not_a_number"),
    "above the pair's range": (priced('"100000.01"'), "out_of_range"),
    "missing path": (make_response('{"prices": 3000}'), "missing_path"),
    "a list instead": (make_response("[3000]"), "missing_path"),
    "only a number": (make_response("3000"), "missing_path"),
    "cut JSON": (make_response('{"price": "30'), "invalid_json"),
    "two JSON values": (make_response('{"price":1}{"price":2}'), "invalid_json"),
    "empty body": (make_response(""), "invalid_json"),
    "not UTF-8": (make_response(b'{"price": "\xff"}'), "invalid_json"),
    "deep nesting": (make_response("[" * 60_000), "invalid_json"),
    "too large": (make_response(b'{"price": 3000}' + b" " * 65_536), "too_large"),
    "a gigabyte": (endless, "too_large"),
    "a gigabyte in gzip": (gzipped(b'{"price": 3000}' + b" " * 30_000_000), "too_large"),
    "broken gzip": (make_response("{}", extra="content-encoding: gzip\r\n"), "encoding"),
    "half a gzip": (
        make_response(gzip.compress(b'{"price":3000}')[:-9], extra="content-encoding: gzip\r\n"),
        "encoding",
    ),
    "another encoding": (make_response("{}", extra="content-encoding: br\r\n"), "encoding"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
    "hangs up": (hang_up, "protocol"),
    "endless headers": (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000, "protocol"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_answer_is_a_labelled_reason_and_no_observation(
    server: CannedServer, case: str
) -> None:
    response, reason = WRONG[case]
    result, counters = await observe(at(server, "one", response))
    assert isinstance(result, NoObservationError)
    assert result.reason == reason
    assert {label for _, label in counters} == {reason}
    assert len(str(result)) < 400, "what a stranger wrote does not fill our log"


async def test_deep_nesting_is_survived_at_any_depth_the_parser_takes(server: CannedServer) -> None:
    body = '{"price":' * 5_000 + "1" + "}" * 5_000  # 3.11 refuses to parse it, 3.12 parses it
    result, _ = await observe(at(server, "one", make_response(body)))
    assert isinstance(result, NoObservationError)
    assert result.reason in ("invalid_json", "not_a_number")


@pytest.mark.parametrize("response", [silent, dripping])
async def test_a_server_that_is_too_slow_is_a_timeout_of_the_whole_answer(
    server: CannedServer, response: object
) -> None:
    result, counters = await observe(at(server, "slow", response), timeout_s=0.05)
    assert isinstance(result, NoObservationError)
    assert result.reason == "timeout"
    assert counters == {("slow", "timeout"): 3}


async def test_nobody_listening_is_a_connection_failure() -> None:
    async with CannedServer.start() as gone:
        source = at(gone, "gone", b"")
    result, counters = await observe(source)
    assert isinstance(result, NoObservationError)
    assert counters == {("gone", "connection"): 3}


async def test_the_deadline_ends_an_observation_whatever_the_tries_may_take(
    server: CannedServer,
) -> None:
    result, _ = await observe(at(server, "slow", silent), timeout_s=600, deadline_s=0.05)
    assert isinstance(result, NoObservationError)
    assert result.reason == "timeout"


async def test_what_has_come_by_the_deadline_is_used(server: CannedServer) -> None:
    sources = [at(server, "quick", priced("3000")), at(server, "slow", silent)]
    result, counters = await observe_well(*sources, timeout_s=600, deadline_s=0.2)
    assert (result.price, result.sources) == (300000, ("quick",))
    assert counters == {("quick", "ok"): 1, ("slow", "timeout"): 1}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_price_or_a_labelled_reason(body: bytes) -> None:
    try:
        price = read_quote(body, Request("", ("price",), (), ()), "s").price
    except WrongAnswerError:
        return
    assert price > 0


@given(st.integers(1, 10**17), st.integers(0, 18))
def test_what_an_exchange_writes_is_read_to_the_last_digit(units: int, decimals: int) -> None:
    written = Decimal(units).scaleb(-decimals)
    body = f'{{"price": "{written:f}"}}'.encode()
    assert read_quote(body, Request("", ("price",), (), ()), "s").price == written


# --- retries ---------------------------------------------------------------------------------


async def test_what_may_pass_is_tried_again_with_growing_jittered_pauses(
    server: CannedServer,
) -> None:
    busy = make_response("{}", status="429 Too Many Requests")
    pauses = Pauses()
    result, counters = await observe_well(
        at(server, "busy", busy, busy, priced("3000")), sleep=pauses
    )
    assert result.price == 300000
    assert pauses.taken == [0.25, 0.5]
    assert counters == {("busy", "http_429"): 2, ("busy", "ok"): 1}


async def test_a_whole_and_wrong_answer_is_not_asked_for_again(server: CannedServer) -> None:
    await observe(at(server, "wrong", priced('"-1"'), priced("3000")))
    assert server.count("/wrong") == 1


async def test_nobody_waits_for_a_laggard_s_retries_once_enough_have_answered(
    server: CannedServer,
) -> None:
    quick, slow = at(server, "quick", priced("3000")), at(server, "slow", silent)
    result, counters = await observe_well(quick, slow, timeout_s=0.2)
    assert result.sources == ("quick",)
    assert counters[("slow", "timeout")] == 1


# --- several sources -------------------------------------------------------------------------


async def test_the_observation_is_the_median_and_the_spread_of_all_sources(
    server: CannedServer,
) -> None:
    sources = [at(server, name, priced(f'"{price}"')) for name, price in
               [("a", "3000.00"), ("b", "3003.00"), ("c", "3001.00")]]  # fmt: skip
    result, _ = await observe_well(*sources, min_sources=3)
    assert (result.price, result.spread_bp) == (300100, 10)
    assert result.sources == ("a", "b", "c")


async def test_an_even_median_is_the_mean_of_the_middle_rounded_once(server: CannedServer) -> None:
    # 3000.005 rounded first would give 3000.00 (to even), and 3000.01 with the other; together
    # they lie at 3000.0099…, which is 3000.01.
    sources = [at(server, "a", priced("3000.005")), at(server, "b", priced("3000.0148"))]
    result, _ = await observe_well(*sources)
    assert result.price == 300001


@pytest.mark.parametrize("lie", ["30.00", "3200.00", "2800.00", "90000.00"])
async def test_one_liar_among_three_is_dropped_by_its_distance_from_the_median(
    server: CannedServer, lie: str
) -> None:
    sources = [at(server, "a", priced("3000")), at(server, "b", priced("3002")),
               at(server, "liar", priced(lie))]  # fmt: skip
    result, counters = await observe_well(*sources, min_sources=2)
    assert result.price == 300100
    assert result.sources == ("a", "b")
    assert counters[("liar", "outlier")] == 1


async def test_two_sources_that_contradict_each_other_are_no_observation(
    server: CannedServer,
) -> None:
    result, _ = await observe(at(server, "a", priced("3000")), at(server, "b", priced("4000")))
    assert isinstance(result, NoObservationError)
    assert result.reason == "outlier"


async def test_fewer_than_min_sources_names_every_source_s_reason(server: CannedServer) -> None:
    sources = [at(server, "a", priced("3000")), at(server, "b", priced("0")),
               at(server, "c", priced("true"))]  # fmt: skip
    result, _ = await observe(*sources, min_sources=2)
    assert isinstance(result, NoObservationError)
    assert result.reason == "too_few_sources"
    assert "1 of 2" in result.detail
    assert "b: zero" in result.detail
    assert "c: not_a_number" in result.detail


# --- the source's own word about time and pair -----------------------------------------------


@pytest.mark.parametrize(
    ("unit", "written", "reason"),
    [
        ("s", f"{NOW_S}", "ok"),
        ("s", f'"{NOW_S}.5"', "ok"),
        ("ms", f"{NOW_S * 1000}", "ok"),
        ("us", f"{NOW_S * 10**6}", "ok"),
        ("ns", f"{NOW_S * 10**9}", "ok"),
        ("rfc3339", '"2023-11-14T22:13:20.123Z"', "ok"),
        ("s", f"{NOW_S - 61}", "stale"),
        ("s", f"{NOW_S + 62}", "ahead"),
        ("s", f"{NOW_S * 1000}", "ahead"),
        ("rfc3339", '"2023-11-14T22:00:00Z"', "stale"),
        ("rfc3339", '"2023-11-14T22:13:20"', "bad_time"),
        ("rfc3339", '"yesterday"', "bad_time"),
        ("s", '"NaN"', "bad_time"),
        ("s", "null", "bad_time"),
        ("s", "9" * 41, "bad_time"),
    ],
)
async def test_a_price_is_as_old_as_its_source_says(
    server: CannedServer, unit: str, written: str, reason: str
) -> None:
    url = server.serve("/timed", make_response(f'{{"p": "3000", "t": {written}}}'))
    source = Source("timed", url, ("p",), ("t",), time_unit=unit)
    _, counters = await observe(source)
    assert counters == {("timed", reason): 1}


async def test_the_price_of_something_else_is_refused(server: CannedServer) -> None:
    body = '{"data":{"currency":"USD","rates":{"USD":"1.0"}}}'
    server.serve("/v2/exchange-rates?currency=ETH", make_response(body))
    result, _ = await observe(make_coinbase_like("coinbase", server.url))
    assert isinstance(result, NoObservationError)
    assert result.reason == "wrong_pair"


# --- what is sent ----------------------------------------------------------------------------


async def test_no_proxy_is_taken_from_the_environment(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _, counters = await observe(at(server, "one", priced("3000")))
    assert counters == {("one", "ok"): 1}


async def test_compressed_answers_are_read(server: CannedServer) -> None:
    deflated = make_response(
        zlib.compress(b'{"price":"3000"}'), extra="content-encoding: deflate\r\n"
    )
    for response in (gzipped(b'{"price": "3000"}'), deflated):
        result, _ = await observe_well(at(server, "one", response))
        assert result.price == 300000


async def test_cookies_are_not_kept(server: CannedServer) -> None:
    cookie = "set-cookie: a=b\r\nconnection: close\r\n"
    source = at(server, "one", make_response('{"price": 1}', extra=cookie))
    observer = HttpPriceSource(
        [source], min_sources=1, max_age_s=60, timeout_s=5, clock=StandingClock(0)
    )
    for _ in range(2):
        await observer.observe(TERMS, 5)
    await observer.aclose()
    assert [head for head in server.heads if "cookie" in head.lower()] == []
    assert len(server.heads) == 2


# --- what is refused at start ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Coin Base"}, "name: 'Coin Base' given, allowed: lower-case"),
        ({"url": "ftp://a/b"}, "allowed: http:// or https://"),
        ({"url": "https://{base}.example/x"}, "a fixed host"),
        ({"url": "https://a/{symbol}"}, r"unknown placeholder \{symbol\}, allowed: base, quote"),
        ({"url": "https://a/{base.__class__}"}, "unknown placeholder"),
        ({"url": "https://a/{base"}, "a brace without its partner"),
        ({"url": "https://a/ b"}, "without spaces"),
        ({"url": "https://a:99999/"}, "not a URL"),
        ({"path": ()}, r"path: \(\) given, allowed: 1 to 16 keys"),
        ({"path": ("a", "")}, "keys of 1 to 1024 characters"),
        ({"time_path": ("{now}",)}, "time_path: unknown placeholder"),
        ({"time_unit": "min"}, "time_unit: 'min' given, allowed: s, ms"),
        ({"aliases": (("USD", "U/D"),)}, "aliases: 'USD' = 'U/D' given"),
    ],
)
def test_a_bad_source_is_refused_with_its_field_and_what_is_allowed(
    fields: dict[str, object], message: str
) -> None:
    good: dict[str, object] = {"name": "a", "url": "https://a/{base}", "path": ("p",)}
    with pytest.raises(ValueError, match=message):
        Source(**(good | fields))  # type: ignore[arg-type]  # wrong on purpose


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="holds a user or password") as caught:
        Source("a", "https://me:hunter2@a/", ("p",))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("min_sources", [0, 2])
def test_a_minimum_that_cannot_be_met_is_refused(min_sources: int) -> None:
    with pytest.raises(ValueError, match="min_sources"):
        HttpPriceSource(
            [PRESETS["coinbase"]],
            min_sources=min_sources,
            max_age_s=60,
            timeout_s=5,
            clock=StandingClock(0),
        )
