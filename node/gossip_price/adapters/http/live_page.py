"""The live page: files that are read once at the start, and answered from memory.

`/` is the page, `/page/…` what it is made of. Nothing of a network is in these bytes: the page
asks the API of the same node, and the policy lets it load and ask nothing else. Knows no network.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

#: The files of the page, beside this module.
FOLDER: Final = "static"
INDEX: Final = "index.html"
#: What is there to serve, by suffix; a file of another kind is a mistake of ours.
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".json": "application/json",
    "": "text/plain; charset=utf-8",
}
#: These are compressed already.
_PACKED: Final = frozenset({".woff2"})
HEADERS: Final = {
    # Everything comes from this node and goes to it, nothing stands inline, nobody frames us; and
    # the browser itself refuses to make HTML or script of a text (trusted types), so that no slip
    # of ours lets in what a peer has sent. What else `security` says of every answer holds too.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-resource-policy": "same-origin",
    # Kept, and asked for each time whether it is still this: 304 costs a few hundred bytes, and
    # no file of one version is ever run with one of another.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@dataclass(frozen=True)
class Asset:
    """One file as it is answered; `packed` is its gzip form, None if that is no smaller."""

    content: bytes
    packed: bytes | None
    content_type: str
    etag: str


def make_page_routes() -> list[BaseRoute]:
    """Return `/` and `/page/{path}`. Raises ValueError for a file of an unknown kind."""
    assets = read_assets()

    async def index(request: Request) -> Response:
        return _answer(request, assets[INDEX])

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["path"])
        if found is None:
            raise HTTPException(404)
        return _answer(request, found)

    return [
        Route("/", index, methods=["GET"]),
        Route("/page/{path:path}", asset, methods=["GET"]),
    ]


def read_assets() -> dict[str, Asset]:
    """Return every file of the page by its path. Raises ValueError for one of an unknown kind."""
    folder = files(__package__) / FOLDER
    return {path: _make_asset(path, file.read_bytes()) for path, file in _walk(folder, "")}


def _walk(folder: Traversable, place: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = place + entry.name
        if entry.is_dir():
            yield from _walk(entry, path + "/")
        else:
            yield path, entry


def _make_asset(path: str, content: bytes) -> Asset:
    suffix = PurePosixPath(path).suffix
    if suffix not in CONTENT_TYPES:
        raise ValueError(f"{path}: a file of the live page has one of {sorted(CONTENT_TYPES)}")
    # mtime 0: the same content is the same bytes in every process.
    packed = None if suffix in _PACKED else gzip.compress(content, 9, mtime=0)
    if packed is not None and len(packed) >= len(content):
        packed = None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content, packed, CONTENT_TYPES[suffix], etag)


def _answer(request: Request, asset: Asset) -> Response:
    packed = asset.packed if _takes_gzip(request.headers.get("accept-encoding", "")) else None
    etag = asset.etag if packed is None else f'{asset.etag[:-1]}-gzip"'
    headers = {**HEADERS, "content-type": asset.content_type, "etag": etag}
    if _is_known(request.headers.get("if-none-match", ""), asset.etag[1:-1]):
        return Response(status_code=304, headers=headers)
    if packed is None:
        return Response(asset.content, headers=headers)
    return Response(packed, headers={**headers, "content-encoding": "gzip"})


def _takes_gzip(accepted: str) -> bool:
    """Whether the header names gzip, and not with a weight of zero."""
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _is_known(condition: str, tag: str) -> bool:
    """Whether If-None-Match names this content, in any coding (RFC 9110, section 13.1.2)."""
    tags = [part.strip().removeprefix("W/").strip('"') for part in condition.split(",")]
    return "*" in tags or any(known.removesuffix("-gzip") == tag for known in tags)
