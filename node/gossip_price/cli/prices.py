"""Where the prices of `up` come from: what --feed says, and one look whether live ones are there.

Whom to ask comes as an argument; nothing here knows an exchange. Starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.sources import HttpPriceSource
from gossip_price.network.document import PairTerms
from gossip_price.network.sources import Source, make_coinbase_like
from gossip_price.ports import NoObservationError

#: One look whether live prices are to be had.
PROBE_S: Final = 3.0
FEEDS: Final = ("auto", "live", "simulated")


class NoLivePricesError(Exception):
    """Live prices were asked for and are not to be had; says why and what helps."""


@dataclass(frozen=True)
class Prices:
    """Where prices come from; `words` says it to people. Without sources it is the feed's part."""

    sources: tuple[Source, ...]
    min_sources: int
    words: str


async def choose_prices(
    feed: str, sources: Sequence[Source], min_sources: int, terms: PairTerms
) -> Prices:
    """Return what `feed` (auto, live, simulated or a URL) means where `sources` are configured.

    For auto and live they are asked once for the price of `terms.pair`. Raises
    NoLivePricesError, and ValueError for a feed that is none of these.
    """
    if feed == "simulated":
        return Prices((), 1, "SIMULATED, as asked for: a random walk, nobody's market")
    if feed not in FEEDS:
        return Prices((make_feed_source(feed),), 1, f"from {feed}")
    names = ", ".join(source.name for source in sources)
    problem = await _probe(sources, min_sources, terms)
    if problem is None:
        return Prices(tuple(sources), min_sources, f"live, from {names}")
    if feed == "live":
        raise NoLivePricesError(
            f"no live prices from {names} ({problem}): mend that, or use --feed simulated"
        )
    words = f"SIMULATED: a random walk, nobody's market (no live prices: {problem})"
    return Prices((), 1, words)


def make_feed_source(url: str) -> Source:
    """Return the source behind `--feed URL`: a server in Coinbase's format.

    A URL with a path is taken as it is, with {base} in it for the currency; a bare server gets
    Coinbase's path. Raises ValueError for what is no such URL.
    """
    if urlsplit(url).path in ("", "/"):
        return make_coinbase_like("feed", url)
    return Source(name="feed", url=url, path=("data", "rates", "{quote}"))


async def _probe(sources: Sequence[Source], min_sources: int, terms: PairTerms) -> str | None:
    """Ask for the price once; return what is in the way, or None."""
    source = HttpPriceSource(
        sources, min_sources=min_sources, max_age_s=60, timeout_s=PROBE_S, clock=SystemClock()
    )
    try:
        await source.observe(terms, PROBE_S)
    except NoObservationError as error:
        return error.detail
    finally:
        await source.aclose()
    return None
