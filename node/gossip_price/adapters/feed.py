"""A simulated price source: Coinbase's exchange-rates format over a walk that anyone can redo.

For laptops without internet and for tests; its prices are nobody's market. The walk is a
function of seed, currency and second, without memory: all nodes that ask within one second
get the same price, whichever process they ask, and a restart continues where it would be.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import lru_cache
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gossip_price.adapters.http.server import AppServer

#: What one unit is worth in US dollars where the walk begins.
DEFAULT_STARTS: Final[Mapping[str, Decimal]] = {
    "BTC": Decimal(60_000),
    "ETH": Decimal(3_000),
    "SOL": Decimal(150),
    "EUR": Decimal("1.10"),
    "GBP": Decimal("1.25"),
}
#: Typical relative change of a price within an hour.
DEFAULT_VOLATILITY: Final = 0.005
_DOLLAR: Final = "USD"
#: Seconds between the random points of each layer of the walk, from flicker to drift. Each layer
#: is as high as the square root of its period, as a random walk's changes are; the longest one
#: bounds it, so that a price wanders for years without leaving its neighbourhood.
_PERIODS_S: Final = tuple(4 * 4**layer for layer in range(8))
#: The layers together change by about a volatility in an hour with this share in each.
_LAYER_SHARE: Final = 0.6
#: Coinbase writes up to 16 decimals and drops trailing zeros.
_RATE_STEP: Final = Decimal(1).scaleb(-16)
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")


class FeedFormatError(ValueError):
    """A start price that is none."""


def parse_start(text: str) -> tuple[str, Decimal]:
    """Read `ETH-USD=3000` as (ETH, 3000). Raises FeedFormatError."""
    match = re.fullmatch(r"([A-Z0-9]{2,12})-USD=([0-9]{1,12}(?:\.[0-9]{1,12})?)", text)
    if match is None or not Decimal(match.group(2)) or match.group(1) == _DOLLAR:
        raise FeedFormatError(
            f"{text[:60]!r} given, allowed: CURRENCY-USD=PRICE, e.g. ETH-USD=3000"
        )
    return match.group(1), Decimal(match.group(2))


class Walk:
    """Dollar prices that wander: a pure function of seed, currency and second.

    `volatility` is the typical relative change in an hour. Raises ValueError outside 0 to 1.
    """

    def __init__(
        self,
        starts: Mapping[str, Decimal] = DEFAULT_STARTS,
        *,
        seed: int = 0,
        volatility: float = DEFAULT_VOLATILITY,
    ) -> None:
        if not 0 <= volatility <= 1:
            raise ValueError(
                f"volatility: {volatility} given, allowed: 0 to 1 (1 is 100 % an hour)"
            )
        self._starts = {**starts, _DOLLAR: Decimal(1)}
        self._seed = seed
        self._volatility = volatility

    @property
    def currencies(self) -> tuple[str, ...]:
        """All currencies there are, by name."""
        return tuple(sorted(self._starts))

    def compute_value(self, currency: str, unix_s: int) -> Decimal:
        """Return what one unit is worth in US dollars in this second, to 8 significant digits."""
        start = self._starts[currency]
        if currency == _DOLLAR:
            return start
        exponent = sum(
            self._volatility * _LAYER_SHARE * math.sqrt(period_s / 3_600)
            * self._find_height(currency, period_s, unix_s)
            for period_s in _PERIODS_S
        )  # fmt: skip
        # A float is fine here: the price is made up. Eight digits are the same on every machine.
        return Decimal(f"{float(start) * math.exp(exponent):.8g}")

    def compute_rates(self, base: str, unix_s: int) -> dict[str, str]:
        """Return what one unit of `base` is worth in each currency, as Coinbase writes it."""
        value = self.compute_value(base, unix_s)
        with localcontext(prec=40):
            return {
                quote: _format(value / self.compute_value(quote, unix_s))
                for quote in self.currencies
            }

    def _find_height(self, currency: str, period_s: int, unix_s: int) -> float:
        point, offset_s = divmod(unix_s, period_s)
        name = f"{self._seed}|{currency}|{period_s}"
        before, after = _draw_height(f"{name}|{point}"), _draw_height(f"{name}|{point + 1}")
        return before + (after - before) * offset_s / period_s


@lru_cache(maxsize=1_024)
def _draw_height(name: str) -> float:
    return random.Random(name).gauss(0, 1)  # noqa: S311 - made-up prices, meant to be repeatable


def _format(rate: Decimal) -> str:
    written = f"{rate.quantize(_RATE_STEP, ROUND_HALF_EVEN):f}"
    return written.rstrip("0").rstrip(".")


def make_feed_app(
    compute_rates: Callable[[str, int], Mapping[str, str]],
    currencies: tuple[str, ...],
    now_s: Callable[[], float] = time.time,
) -> Starlette:
    """Return an app that answers `/v2/exchange-rates?currency=ETH` as Coinbase does.

    Format, errors and statuses are those of its documentation ("Exchange rates", "Error
    messages"): `{"data": {"currency", "rates"}}` or `{"errors": [{"id", "message"}]}`.
    """

    async def exchange_rates(request: Request) -> Response:
        base = request.query_params.get("currency", _DOLLAR).upper()
        if base not in currencies:
            shown = base if _CURRENCY.fullmatch(base) else "?"
            return _refuse(400, "invalid_request", f"Invalid currency ({shown})")
        rates = dict(compute_rates(base, int(now_s())))
        return JSONResponse({"data": {"currency": base, "rates": rates}})

    async def refuse(_request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            return _refuse(405, "invalid_request", "Method not allowed")
        return _refuse(404, "not_found", "Not found")

    return Starlette(
        routes=[Route("/v2/exchange-rates", exchange_rates, methods=["GET"])],
        exception_handlers={HTTPException: refuse},
    )


def make_feed_server(address: str, walk: Walk, now_s: Callable[[], float] = time.time) -> AppServer:
    """Return a server of `walk` at `address` ("host:port"); start it, read its `url`, close it."""
    return AppServer(address, make_feed_app(walk.compute_rates, walk.currencies, now_s))


def _refuse(status: int, error_id: str, message: str) -> Response:
    return JSONResponse({"errors": [{"id": error_id, "message": message}]}, status_code=status)
