"""A source as configurations write it: a preset's name, or a mapping. Read and written here. Pure.

One form for a PriceNetwork's `price.sources` and for `GP_SOURCES`: what is written is read back
as the same source. Errors never repeat a URL, because it may hold somebody's API key. What a
source's fields may be is judged in `sources`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, ValidationError

from gossip_price.network.problems import collect_problems, make_hidden_error, show, suggest
from gossip_price.network.sources import PRESETS, Source
from gossip_price.network.spec_values import Listed, Part, Text

SOURCES_MAX: Final = 32


class EchoSpec(Part):
    """What an answer must repeat, lest a server that overlooked the question answers another."""

    path: Annotated[tuple[Text, ...], Listed] = Field(description="keys that lead to the text")
    text: Text = Field(description="what must stand there; {base}, {quote} and {pair} filled in")


class SourceSpec(Part):
    """Where prices are asked for; a plain name stands for a preset."""

    name: Text = Field(description="a metric's label; the name of a preset needs nothing else")
    url: StrictStr = Field(description="http(s) URL; {base}, {quote} and {pair} are filled in")
    path: Annotated[tuple[Text, ...], Listed] = Field(description="keys that lead to the price")
    time_path: Annotated[tuple[Text, ...], Listed] | None = Field(
        default=None, description="keys that lead to the source's own timestamp"
    )
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = Field(
        default="s", description="how the source writes its timestamp"
    )
    aliases: dict[Text, Text] = Field(
        default_factory=dict, description="the source's own names of currencies, by ours"
    )
    echoes: Annotated[tuple[EchoSpec, ...], Listed] = Field(
        default=(),
        description="what an answer must repeat, else it is no price of what was asked for",
    )
    simulated: StrictBool = Field(default=False, description="not a market's price")

    def make_source(self) -> Source:
        """Return the source. Raises ValueError naming every wrong field."""
        return Source(
            name=self.name,
            url=self.url,
            path=self.path,
            time_path=self.time_path,
            simulated=self.simulated,
            time_unit=self.time_unit,
            aliases=tuple(self.aliases.items()),
            echoes=tuple((echo.path, echo.text) for echo in self.echoes),
        )


def parse_source(value: object) -> Source:
    """Read a source: a preset's name, or a mapping with name, url, path …"""
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        if value in PRESETS:
            return PRESETS[value]
        shown = f" ({show(value)} given)" if value.replace("-", "").isalnum() else ""
        raise make_hidden_error(
            f"a mapping with name, url and path, or {suggest(value, PRESETS)}{shown}"
        )
    try:
        return SourceSpec.model_validate(value).make_source()
    except ValidationError as error:
        parts = (
            f"{problem.path}: {problem.allowed}" for problem in collect_problems(error, SourceSpec)
        )
        raise make_hidden_error("; ".join(parts)) from None
    except ValueError as error:
        raise make_hidden_error(str(error)) from None


def format_source(source: Source) -> dict[str, Any] | str:
    """Return what parse_source reads as `source`: a preset's name, or a mapping of JSON values."""
    if PRESETS.get(source.name) == source:
        return source.name
    mapping: dict[str, Any] = {"name": source.name, "url": source.url, "path": list(source.path)}
    if source.time_path is not None:
        mapping["timePath"] = list(source.time_path)
    if source.time_unit != "s":
        mapping["timeUnit"] = source.time_unit
    if source.aliases:
        mapping["aliases"] = dict(source.aliases)
    if source.echoes:
        mapping["echoes"] = [{"path": list(path), "text": text} for path, text in source.echoes]
    if source.simulated:
        mapping["simulated"] = True
    return mapping


def parse_sources(value: object) -> tuple[Source, ...]:
    """Read 1 to 32 sources: a list, the JSON text of one, or presets with commas between."""
    listed = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            raise make_hidden_error("a JSON list, and this is not JSON") from None
    elif isinstance(value, str):
        listed = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= SOURCES_MAX:
        raise make_hidden_error(f"1 to {SOURCES_MAX} sources, in a list or with commas between")
    sources = tuple(parse_source(item) for item in listed)
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise make_hidden_error("every source's name only once")
    return sources


def format_sources(sources: Sequence[Source]) -> str:
    """Return the JSON text that parse_sources reads as `sources`."""
    return json.dumps([format_source(source) for source in sources])


SourceValue = Annotated[Source, BeforeValidator(parse_source)]
