"""Where a price may be asked for: a name, a URL and a path into the JSON answer. Pure.

Knows nothing of HTTP: `adapters.sources` asks, this module only says whom and what to read.
Formats of the presets are those of the exchanges' public API documentation (see each one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

#: A name becomes a metric's label and stands in every row's list of sources.
NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
#: What may stand in braces in a URL or a path; values are letters, digits and the pair's dash.
PLACEHOLDERS: Final = ("base", "quote", "pair", "base_lower", "quote_lower", "pair_lower")
#: How a source writes its own time: seconds or parts of it since 1970, or text as in RFC 3339.
TIME_UNITS: Final = ("s", "ms", "us", "ns", "rfc3339")
#: This element of a path takes the only entry there is, whatever its name.
ONLY: Final = "*"
URL_LENGTH_MAX: Final = 2_000
PATH_LENGTH_MAX: Final = 16
#: Letters of a key in a path, or of what an answer must echo.
TEXT_LENGTH_MAX: Final = 1_024
ECHOES_MAX: Final = 16

_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Source:
    """One place to ask for a price.

    `url` and the elements of `path` and `time_path` are templates with the names of
    PLACEHOLDERS in braces. An element is a key of an object, an index of a list (digits), or
    `*` for the only entry. `time_path` leads to the source's own timestamp in `time_unit`;
    without it a price is as old as its fetch. `aliases` are (our currency, the source's name of
    it). `echoes` are (path, text) that an answer must repeat, because a server that overlooks
    what it was asked for answers with the price of something else. `simulated` prices are
    nobody's market. Raises ValueError naming every wrong field.
    """

    name: str
    url: str
    path: tuple[str, ...]
    time_path: tuple[str, ...] | None = None
    simulated: bool = False
    time_unit: str = "s"
    aliases: tuple[tuple[str, str], ...] = ()
    echoes: tuple[tuple[tuple[str, ...], str], ...] = ()

    def __post_init__(self) -> None:
        problems = find_problems(self)
        if problems:
            raise ValueError("; ".join(problems))

    def expand(self, pair: str) -> Request:
        """Return what to ask and where to look for `pair`, e.g. `ETH-USD`."""
        base, _, quote = pair.partition("-")
        aliases = dict(self.aliases)
        base, quote = aliases.get(base, base), aliases.get(quote, quote)
        upper = {"base": base, "quote": quote, "pair": f"{base}-{quote}"}
        values = upper | {f"{name}_lower": value.lower() for name, value in upper.items()}

        def fill(template: str) -> str:
            return _BRACES.sub(lambda match: values[match.group(1)], template)

        return Request(
            url=fill(self.url),
            path=tuple(fill(element) for element in self.path),
            time_path=tuple(fill(element) for element in self.time_path or ()),
            echoes=tuple(
                (tuple(fill(element) for element in path), fill(text)) for path, text in self.echoes
            ),
        )


@dataclass(frozen=True)
class Request:
    """A source's templates, filled for one pair; an empty `time_path` means no own timestamp."""

    url: str
    path: tuple[str, ...]
    time_path: tuple[str, ...]
    echoes: tuple[tuple[tuple[str, ...], str], ...]


def find_problems(source: Source) -> list[str]:
    """Return every rule that `source` breaks, each naming its field; empty if it is valid."""
    problems = []
    if NAME_PATTERN.fullmatch(source.name) is None:
        problems.append(
            f"name: {source.name!r} given, allowed: lower-case letters, digits and dashes, 1 to 32"
        )
    problems += _find_url_problems(source.url)
    paths = [("path", source.path)] + [("echoes", path) for path, _ in source.echoes]
    if source.time_path is not None:
        paths.append(("time_path", source.time_path))
    for field, path in paths:
        if not 1 <= len(path) <= PATH_LENGTH_MAX or not all(map(_is_text, path)):
            problems.append(
                f"{field}: {path!r:.200} given, allowed: 1 to {PATH_LENGTH_MAX} keys of 1 to"
                f" {TEXT_LENGTH_MAX} characters"
            )
        for element in path:
            problems += _find_template_problems(field, element)
    if len(source.echoes) > ECHOES_MAX:
        problems.append(f"echoes: {len(source.echoes)} given, allowed: at most {ECHOES_MAX}")
    for _, text in source.echoes:
        if not _is_text(text):
            problems.append(f"echoes: allowed: a text of 1 to {TEXT_LENGTH_MAX} characters")
        problems += _find_template_problems("echoes", text)
    if source.time_unit not in TIME_UNITS:
        problems.append(f"time_unit: {source.time_unit!r} given, allowed: {', '.join(TIME_UNITS)}")
    if len(dict(source.aliases)) < len(source.aliases):
        problems.append("aliases: allowed: each currency once")
    for ours, theirs in source.aliases:
        if not all(re.fullmatch(r"[A-Za-z0-9]{1,12}", word) for word in (ours, theirs)):
            problems.append(
                f"aliases: {ours!r} = {theirs!r} given, allowed: 1 to 12 letters and digits each"
            )
    return problems


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= TEXT_LENGTH_MAX


def _find_url_problems(url: str) -> list[str]:
    problems = _find_template_problems("url", url)
    if len(url) > URL_LENGTH_MAX or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        return [
            *problems,
            f"url: allowed: at most {URL_LENGTH_MAX} ASCII characters without spaces",
        ]
    try:
        parts = urlsplit(url)
        host, userinfo, _port = parts.hostname, parts.username or parts.password, parts.port
    except ValueError as error:
        return [*problems, f"url: not a URL: {error}"]
    if userinfo:
        # The URL itself is not repeated: what stands before the @ is a secret.
        problems.append("url: holds a user or password, allowed: none (specs and logs are public)")
    elif parts.scheme not in ("http", "https") or not host or "{" in parts.netloc:
        # Nor here: its query may hold somebody's API key.
        problems.append("url: allowed: http:// or https:// and a fixed host")
    return problems


def _find_template_problems(field: str, template: str) -> list[str]:
    problems = [
        f"{field}: unknown placeholder {{{name[:40]}}}, allowed: {', '.join(PLACEHOLDERS)}"
        for name in _BRACES.findall(template)
        if name not in PLACEHOLDERS
    ]
    if re.search(r"[{}]", _BRACES.sub("", template)):
        problems.append(f"{field}: a brace without its partner")
    return problems


def make_coinbase_like(name: str, server: str, *, simulated: bool = False) -> Source:
    """Return a source that speaks Coinbase's exchange-rates format at `server` (scheme://host)."""
    return Source(
        name=name,
        url=server.rstrip("/") + "/v2/exchange-rates?currency={base}",
        path=("data", "rates", "{quote}"),
        simulated=simulated,
        # Coinbase has answered with the rates of USD where it lost the parameter.
        echoes=((("data", "currency"), "{base}"),),
    )


#: Sources that need only their name in a configuration.
PRESETS: Final[Mapping[str, Source]] = MappingProxyType(
    {
        source.name: source
        for source in (
            make_coinbase_like("coinbase", "https://api.coinbase.com"),
            # The key under `result` is Kraken's own spelling (XETHZUSD for ETHUSD, but SOLUSD):
            # we ask for one pair, so it is the only one. `c` is the last trade: price, volume.
            Source(
                name="kraken",
                url="https://api.kraken.com/0/public/Ticker?pair={base}{quote}",
                path=("result", ONLY, "c", "0"),
                aliases=(("BTC", "XBT"), ("DOGE", "XDG")),
            ),
            # Binance has no market in US dollars; its dollar is Tether. A Tether that has lost
            # its peg falls to the outlier bound as soon as there are two other sources.
            Source(
                name="binance",
                url="https://data-api.binance.vision/api/v3/ticker/24hr?type=MINI&symbol={base}{quote}",
                path=("lastPrice",),
                time_path=("closeTime",),
                time_unit="ms",
                aliases=(("USD", "USDT"),),
                echoes=((("symbol",), "{base}{quote}"),),
            ),
            Source(
                name="bitstamp",
                url="https://www.bitstamp.net/api/v2/ticker/{base_lower}{quote_lower}/",
                path=("last",),
                time_path=("timestamp",),
            ),
        )
    }
)
