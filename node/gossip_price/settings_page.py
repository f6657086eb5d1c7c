"""The tables of docs/configuration.md, made from the classes that read what they describe.

`python -m gossip_price.settings_page docs/configuration.md` writes them anew; a test holds the
page to them. Everything outside the markers is the page's own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gossip_price.network.durations import format_duration, parse_duration
from gossip_price.network.source_mapping import SourceSpec
from gossip_price.network.sources import Source
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price.network.spec_values import Pair
from gossip_price.settings import CONFIG_FILE, HostPort, Settings


def format_settings_table() -> str:
    """Return the table of GP_* names."""
    rows = [
        (f"`{field.alias}`", _format_default(field, field.get_default()), field.description or "")
        for field in Settings.model_fields.values()
    ]
    rows.append(
        (f"`{CONFIG_FILE}`", "none", "a YAML file with these names; the environment wins over it")
    )
    return format_table(("name", "default", "meaning"), rows)


def format_spec_table() -> str:
    """Return the table of a PriceNetwork's fields, under `spec`."""
    return format_table(("field", "default", "meaning"), _list_fields(NetworkSpec, ""))


def _list_fields(
    model: type[BaseModel], path: str, instance: BaseModel | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each field; `instance` is the parent's default, where there is one."""
    for name, field in model.model_fields.items():
        inner = _find_model(field.annotation)
        default = getattr(instance, name) if instance else field.get_default()
        part = default if isinstance(default, BaseModel) else None
        own = f"{path}{field.alias}"
        if inner is not None and get_origin(field.annotation) is None:
            yield from _list_fields(inner, own + ".", part)
            continue
        yield f"`{own}`", _format_default(field, default), field.description or ""
        if inner is not None:
            listed = get_origin(field.annotation) is tuple
            yield from _list_fields(inner, own + ("[]." if listed else "."), part)
        elif "Source" in str(field.annotation):
            yield from _list_fields(SourceSpec, own + "[].")


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_find_model(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _format_default(field: FieldInfo, default: Any) -> str:
    if field.is_required():
        return "**required**"
    if default is PydanticUndefined or default is None or default == ():
        return "none"
    if isinstance(default, tuple) and not isinstance(default, HostPort):
        return ", ".join(_format_value(item) for item in default)
    if any(getattr(meta, "func", None) is parse_duration for meta in field.metadata):
        return f"`{format_duration(default)}`"
    return _format_value(default)


def _format_value(value: Any) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case Enum():
            return f"`{value.value}`"
        case Source() | Pair():
            return f"`{value.name}`"
        case BaseModel():
            return "`{}`"
        case HostPort():
            return f"`{value.host}:{value.port}`"
        case _:
            return f"`{value}`"


def format_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": format_settings_table,
    "spec": format_spec_table,
}


def fill_page(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """Return the page's `text` with every table between its markers made anew."""
    for name, make_table in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        table = f"{begin}\n{make_table()}\n{end}"
        text, count = re.subn(pattern, lambda _, table=table: table, text, flags=re.DOTALL)  # type: ignore[misc]  # mypy cannot type a lambda's default
        if count != 1:
            raise ValueError(f"{begin} … {end} must stand in the page once, not {count} times")
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(fill_page(page.read_text()))
