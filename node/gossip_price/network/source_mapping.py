"""A source as configurations write it: a mapping, of a preset its name alone. Pure.

One form for a PriceNetwork's `price.sources` and for `GP_SOURCES`: what is written is read back
as the same source. Errors never repeat a URL, because it may hold somebody's API key. What a
source's fields may be is judged in `sources`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    WithJsonSchema,
)

from gossip_price.network.problems import collect_problems, make_hidden_error, show, suggest
from gossip_price.network.sources import (
    ECHOES_MAX,
    NAME_PATTERN,
    PATH_LENGTH_MAX,
    PRESETS,
    URL_LENGTH_MAX,
    Source,
)
from gossip_price.network.spec_values import Listed, Part, Text

SOURCES_MAX: Final = 32
ALIASES_MAX: Final = 64


Keys = Annotated[tuple[Text, ...], Listed, Field(max_length=PATH_LENGTH_MAX)]
#: What the name of a source may be; `sources` judges it, the CRD says it.
_NAME_SCHEMA: Final[dict[str, Any]] = {"pattern": f"^{NAME_PATTERN.pattern}$", "maxLength": 32}


class EchoSpec(Part):
    """What an answer must repeat, lest a server that overlooked the question answers another."""

    path: Keys = Field(description="keys that lead to the text")
    text: Text = Field(description="what must stand there; {base}, {quote} and {pair} filled in")


class SourceSpec(Part):
    """Where prices are asked for; the name of a preset stands for the whole of it."""

    name: Annotated[Text, Field(json_schema_extra=_NAME_SCHEMA)] = Field(
        description="a metric's label; the name of a preset needs nothing else"
    )
    url: Annotated[StrictStr, Field(json_schema_extra={"maxLength": URL_LENGTH_MAX})] | None = (
        Field(
            default=None,
            description="http(s) URL; {base}, {quote} and {pair} are filled in; required but for a"
            " preset",
        )
    )
    path: Keys | None = Field(
        default=None, description="keys that lead to the price; required but for a preset"
    )
    time_path: Keys | None = Field(
        default=None, description="keys that lead to the source's own timestamp"
    )
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = Field(
        default="s", description="how the source writes its timestamp"
    )
    aliases: Annotated[dict[Text, Text], Field(max_length=ALIASES_MAX)] = Field(
        default_factory=dict, description="the source's own names of currencies, by ours"
    )
    echoes: Annotated[tuple[EchoSpec, ...], Listed] = Field(
        default=(),
        description="what an answer must repeat, else it is no price of what was asked for",
        json_schema_extra={"maxItems": ECHOES_MAX},
    )
    simulated: StrictBool = Field(default=False, description="not a market's price")

    def make_source(self) -> Source:
        """Return the source. Raises ValueError naming every wrong field."""
        # An API server writes the defaults beside a preset's name.
        if self.name in PRESETS and self.model_dump() == SourceSpec(name=self.name).model_dump():
            return PRESETS[self.name]
        if self.url is None or self.path is None:
            missing = " and ".join(name for name in ("url", "path") if getattr(self, name) is None)
            shown = f"{show(self.name)} given, " if _is_plain(self.name) else ""
            raise ValueError(
                f"{missing}: required, where name is not that of a preset"
                f" ({shown}allowed: {suggest(self.name, PRESETS)})"
            )
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
    """Read a source: a mapping with a preset's name alone, or with name, url, path …"""
    if isinstance(value, Source):
        return value
    if not isinstance(value, Mapping):
        shown = f" ({show(value)} given)" if isinstance(value, str) and _is_plain(value) else ""
        raise make_hidden_error(
            f"a mapping, with the name of a preset or with name, url and path{shown}"
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


def _is_plain(text: str) -> bool:
    """Whether it can hold nobody's API key."""
    return len(text) <= 32 and text.replace("-", "").isalnum()


def format_source(source: Source) -> dict[str, Any]:
    """Return what parse_source reads as `source`: JSON values; of a preset its name alone."""
    if PRESETS.get(source.name) == source:
        return {"name": source.name}
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
        listed = [{"name": name.strip()} for name in value.split(",") if name.strip()]
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


SourceValue = Annotated[
    Source,
    BeforeValidator(parse_source),
    WithJsonSchema({"type": "object", "title": SourceSpec.__name__}),
]
