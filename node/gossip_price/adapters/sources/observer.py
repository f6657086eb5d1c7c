"""Ask all sources at once and take the median of the good answers: the PriceSource port.

Decides what counts as an observation; knows nothing of rounds, reports or other nodes.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

import httpx

from gossip_price.adapters.sources.answer import ARITHMETIC, WrongAnswerError, read_quote
from gossip_price.adapters.sources.fetch import fetch, make_client
from gossip_price.core.types import Observation
from gossip_price.network.document import PairTerms
from gossip_price.network.sources import Source
from gossip_price.ports import Clock, NoObservationError

#: A source further than this from the median is not quoting the same market. A share of the
#: median, not a number of sigmas: one liar among three moves sigma far enough to hide in it.
OUTLIER_SHARE: Final = Decimal("0.05")
#: Tries in one observation: two retries outlast a dropped connection, more would be a flood.
ATTEMPTS_MAX: Final = 3
#: First pause before asking again; doubles, and is spread over half to one and a half of it.
RETRY_S: Final = 0.25
#: What may be different a moment later. A whole and wrong answer will be wrong again.
_PASSING: Final = frozenset({"timeout", "connection", "protocol", "http_429", "http_5xx"})

GOOD: Final = "ok"


class _Good(NamedTuple):
    source: str
    price: Decimal


class HttpPriceSource:
    """Prices by HTTP from several sources.

    `min_sources` good answers make an observation; a source's own timestamp may be at most
    `max_age_s` old (or ahead); one try takes at most `timeout_s`. `dice` gives [0, 1) for the
    jitter of retries, `sleep` waits for them. Raises ValueError for what cannot work.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        min_sources: int,
        max_age_s: float,
        timeout_s: float,
        clock: Clock,
        proxy: str | None = None,
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        names = [source.name for source in sources]
        if len(set(names)) != len(names):
            raise ValueError(f"sources: {names} given, allowed: each name once")
        if not 1 <= min_sources <= len(sources):
            raise ValueError(
                f"min_sources: {min_sources} given, allowed: 1 to {len(sources)} (the sources)"
            )
        if timeout_s <= 0 or max_age_s <= 0:
            raise ValueError(f"timeout_s, max_age_s: {timeout_s}, {max_age_s} given, allowed: > 0")
        self._sources = tuple(sources)
        self._min_sources = min_sources
        self._max_age_ms = int(max_age_s * 1_000)
        self._timeout_s = timeout_s
        self._clock = clock
        self._dice = dice
        self._sleep = sleep
        self._client: httpx.AsyncClient = make_client(proxy)
        self._counters: Counter[tuple[str, str]] = Counter()

    @property
    def simulated(self) -> bool:
        """Whether any source's prices are nobody's market."""
        return any(source.simulated for source in self._sources)

    def get_counters(self) -> Mapping[tuple[str, str], int]:
        """Return how often each (source, reason) happened; `ok` is the reason of a good answer."""
        return dict(self._counters)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def observe(self, terms: PairTerms, deadline_s: float) -> Observation:
        """Return the median over the sources within `deadline_s`. Raises NoObservationError.

        `observed_at` is when the asking began: it lies in the round that asked, and no price
        here is older than its source's own delay.
        """
        began_ms = self._clock.now().wall_ms
        good, failures = await self._ask_all(terms, deadline_s)
        good, outliers = _split_outliers(good)
        for name, detail in outliers.items():
            self._counters[name, "outlier"] += 1
            failures[name] = WrongAnswerError("outlier", detail)
        for name, _ in good:
            self._counters[name, GOOD] += 1
        if len(good) < self._min_sources:
            raise _explain(len(good), self._min_sources, failures)
        prices = sorted(price for _, price in good)
        median = _compute_median(prices)
        spread = ARITHMETIC.divide(ARITHMETIC.subtract(prices[-1], prices[0]) * 10_000, median)
        return Observation(
            pair=terms.pair,
            price=_round(median, terms.decimals),
            observed_at=began_ms // 1_000,
            spread_bp=int(spread.to_integral_value(ROUND_HALF_EVEN)),
            sources=tuple(sorted(name for name, _ in good)),
        )

    async def _ask_all(
        self, terms: PairTerms, deadline_s: float
    ) -> tuple[list[_Good], dict[str, WrongAnswerError]]:
        """Ask every source until it answers, gives up, or `deadline_s` is over."""
        good: list[_Good] = []
        failures: dict[str, WrongAnswerError] = {}

        async def ask(source: Source) -> None:
            try:
                good.append(_Good(source.name, await self._ask_patiently(source, terms, good)))
            except WrongAnswerError as error:
                failures[source.name] = error

        waiting = {asyncio.create_task(ask(source)): source for source in self._sources}
        try:
            done, late = await asyncio.wait(waiting, timeout=deadline_s)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        for task in late:
            name = waiting[task].name
            # A try that was cut off has not been counted yet; its earlier ones have.
            self._counters[name, "timeout"] += 1
            failures[name] = WrongAnswerError("timeout", f"not within {deadline_s:g} s")
        for task in done:
            task.result()  # anything else that a task raised is our own mistake: be loud
        return good, failures

    async def _ask_patiently(
        self, source: Source, terms: PairTerms, good: Sequence[_Good]
    ) -> Decimal:
        """Ask one source, again if it may help; once others suffice nobody waits for a laggard."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await self._ask(source, terms)
            except WrongAnswerError as error:
                self._counters[source.name, error.reason] += 1
                enough = len(good) >= self._min_sources
                if attempt == ATTEMPTS_MAX or error.reason not in _PASSING or enough:
                    raise
            await self._sleep(RETRY_S * 2 ** (attempt - 1) * (0.5 + self._dice()))
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, source: Source, terms: PairTerms) -> Decimal:
        request = source.expand(terms.pair)
        body = await fetch(self._client, request.url, self._timeout_s)
        quote = read_quote(body, request, source.time_unit)
        if quote.time_ms is not None:
            age_ms = self._clock.now().wall_ms - quote.time_ms
            if age_ms > self._max_age_ms:
                raise WrongAnswerError("stale", f"{age_ms // 1_000} s old by its own time")
            if age_ms < -self._max_age_ms:
                raise WrongAnswerError("ahead", f"{-age_ms // 1_000} s ahead by its own time")
        price = _round(quote.price, terms.decimals)
        if not terms.min_price <= price <= terms.max_price:
            raise WrongAnswerError(
                "out_of_range", f"{quote.price} with {terms.decimals} decimals, outside the pair's"
            )
        return quote.price


def _round(price: Decimal, decimals: int) -> int:
    """Return `price` in units of 10^-decimals, half to even."""
    return int(ARITHMETIC.scaleb(price, decimals).to_integral_value(ROUND_HALF_EVEN))


def _compute_median(prices: Sequence[Decimal]) -> Decimal:
    """Return the median of sorted prices, unrounded; the mean of the two in the middle."""
    middle = len(prices) // 2
    if len(prices) % 2:
        return prices[middle]
    return ARITHMETIC.divide(ARITHMETIC.add(prices[middle - 1], prices[middle]), Decimal(2))


def _split_outliers(good: Sequence[_Good]) -> tuple[list[_Good], dict[str, str]]:
    """Return who is near the median, and by name why the others are not."""
    if not good:
        return [], {}
    median = _compute_median(sorted(price for _, price in good))
    near, far = [], {}
    for name, price in good:
        if abs(ARITHMETIC.subtract(price, median)) <= ARITHMETIC.multiply(median, OUTLIER_SHARE):
            near.append(_Good(name, price))
        else:
            far[name] = f"{price} is too far from the median {median}"
    return near, far


def _explain(
    good: int, needed: int, failures: Mapping[str, WrongAnswerError]
) -> NoObservationError:
    """Name the common reason if there is one: with one source, what happened to it."""
    reasons = {error.reason for error in failures.values()}
    reason = reasons.pop() if len(reasons) == 1 else "too_few_sources"
    details = "; ".join(f"{name}: {error}" for name, error in sorted(failures.items()))
    return NoObservationError(reason, f"{good} of {needed} needed sources ({details})")
