"""`/docs` and `/openapi.json`: the API described by the node itself, without the internet.

The page is the OpenAPI document as HTML, made once, with no script in it at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.http.openapi import encode_openapi, make_openapi

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")


def make_docs_routes() -> list[BaseRoute]:
    """Return `/openapi.json`, `/docs`, and its style and icon."""
    openapi = encode_openapi()
    page = make_page(make_openapi())
    style = (files(__package__) / "docs.css").read_bytes()
    icon = (files(__package__) / "static" / "icon.svg").read_bytes()

    async def show_openapi(_request: Request) -> Response:
        return _answer(openapi, "application/json")

    async def show_page(_request: Request) -> Response:
        return _answer(page.encode(), "text/html")

    async def show_style(_request: Request) -> Response:
        return _answer(style, "text/css")

    async def show_icon(_request: Request) -> Response:
        return _answer(icon, "image/svg+xml")

    async def lead_to_page(_request: Request) -> Response:
        # Relative, so that it holds behind a proxy's prefix and repeats no Host header.
        return Response(status_code=308, headers={"location": "../docs"})

    return [
        Route("/openapi.json", show_openapi, methods=["GET"]),
        Route("/docs", show_page, methods=["GET"]),
        Route("/docs/", lead_to_page, methods=["GET"]),
        Route("/docs.css", show_style, methods=["GET"]),
        Route("/docs.svg", show_icon, methods=["GET"]),
    ]


def _answer(content: bytes, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})


def make_page(openapi: Mapping[str, Any]) -> str:
    """Return the page's HTML."""
    info, paths = openapi["info"], openapi["paths"]
    schemas = openapi["components"]["schemas"]
    title = f"{escape(info['title'])} API"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<title>{title}</title><link rel="icon" href="docs.svg" type="image/svg+xml">',
            '<link rel="stylesheet" href="docs.css"></head><body>',
            f"<header><h1>{title}</h1><p>Version {escape(info['version'])} · "
            '<a href="openapi.json">openapi.json</a> · <a href="./">live page</a></p>',
            f"<p>{_mark(info['description'])}</p></header>",
            "<nav aria-label='Endpoints'><ul>",
            *(f'<li><a href="#{_name(path)}"><code>{escape(path)}</code></a></li>'
              for path in paths),
            "</ul></nav><main>",
            *(part for path, item in paths.items()
              for part in _show_endpoint(path, item["get"], openapi)),
            "<h2 id='schemas'>Shapes</h2>",
            *(part for name, schema in schemas.items() for part in _show_schema(name, schema)),
            "</main></body></html>",
        ]
    )  # fmt: skip


def _show_endpoint(
    path: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]
) -> Iterator[str]:
    yield f'<section id="{_name(path)}"><h2><code>GET {escape(path)}</code></h2>'
    yield f"<p><strong>{escape(operation['summary'])}.</strong> {_mark(operation['description'])}"
    yield "</p>"
    if operation["parameters"]:
        yield "<table><caption>Parameters</caption><thead><tr><th>name</th><th>in</th>"
        yield "<th>what it is</th></tr></thead><tbody>"
        for one in operation["parameters"]:
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
            yield f"<td>{_mark(one['description'])}{_show_bounds(one['schema'])}</td></tr>"
        yield "</tbody></table>"
    yield "<table><caption>Answers</caption><thead><tr><th>status</th><th>what it is</th></tr>"
    yield "</thead><tbody>"
    for status, answer in operation["responses"].items():
        found = answer
        if "$ref" in answer:
            found = openapi["components"]["responses"][status]
        words = _mark(found["description"])
        for media_type, content in found["content"].items():
            words += f" <code>{escape(media_type)}</code> {_show_type(content['schema'])}"
        yield f"<tr><td><code>{escape(status)}</code></td><td>{words}</td></tr>"
    yield "</tbody></table></section>"


def _show_schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{_name(name)}"><h3>{escape(name)}</h3>'
    yield f"<p>{_mark(schema.get('description', ''))}</p>"
    if "properties" in schema:
        yield "<table><thead><tr><th>field</th><th>type</th><th>what it is</th></tr></thead><tbody>"
        for field, kind in schema["properties"].items():
            words = _mark(kind.get("description", ""))
            yield f"<tr><td><code>{escape(field)}</code></td><td>{_show_type(kind)}</td>"
            yield f"<td>{words}</td></tr>"
        yield "</tbody></table>"
    elif "enum" in schema:
        yield f"<p>{_show_type(schema)}</p>"
    yield "</section>"


def _show_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_name(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_show_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']).lower())}</code>"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_show_type(schema.get('items', {}))}"
    if isinstance(kind, list):
        return " or ".join(escape(one) for one in kind)
    return escape(kind) + (f" ({escape(schema['format'])})" if "format" in schema else "")


def _show_bounds(schema: Mapping[str, Any]) -> str:
    if "maximum" not in schema:
        return ""
    bounds = f"{schema['minimum']} to {schema['maximum']}"
    return f"; {bounds}" + (f", {schema['default']} if left out" if "default" in schema else "")


def _name(text: str) -> str:
    """Return what an element with this name is called in the page."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")


def _mark(text: str) -> str:
    """Return our own words as HTML: `code` and **names** in them stand out."""
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text)))
