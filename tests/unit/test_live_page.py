"""The live page's files: how they are answered, and that what is vendored is what npm has."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from fake_node import FakeNode
from gossip_price.adapters.http import answers, make_app, network_answers
from gossip_price.adapters.http.live_page import make_page_routes, read_assets

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "node/gossip_price/adapters/http/static"
VENDORED = [STATIC / "vendor", ROOT / "tests/page/vendor"]
OWN = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(make_page_routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


async def test_the_page_may_load_from_its_node_alone_and_make_no_html_of_text(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        directive.split(" ", 1)
        for directive in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_stands_in_the_page_that_its_policy_forbids() -> None:
    html = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", html) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_of_ours_names_another_place_or_makes_html(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?:https?:)?//[a-z0-9]", text.replace("http://www.w3.org/", "")) == []
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.findall(forbidden, text) == []


async def test_every_file_that_the_page_names_is_there(client: httpx.AsyncClient) -> None:
    html = (STATIC / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="(page/[^"]+)"', html))
    assert len(named) >= 5
    for path in named:
        assert (await client.get(f"/{path}")).status_code == 200, path


async def test_a_reader_that_has_a_file_gets_no_second_copy(client: httpx.AsyncClient) -> None:
    first = await client.get("/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = await client.get("/page/main.js", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/page/main.js", headers={"if-none-match": '"other"'})
    assert other.status_code == 200


async def test_text_is_packed_for_who_takes_it(client: httpx.AsyncClient) -> None:
    plain = await client.get("/page/page.css", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.content == (STATIC / "page.css").read_bytes()
    packed = await client.get("/page/page.css", headers={"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "path", ["/page/", "/page/nothing.js", "/page/../routes.py", "/page/%2e%2e/routes.py", "/page"]
)
async def test_anything_else_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_it_is_read_only(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405
    head = await client.head("/")
    assert (head.status_code, head.content) == (200, b"")


def test_the_page_is_as_light_as_its_documentation_says() -> None:
    """docs/live-page.md: what a first visit loads, packed; the verifier comes on demand."""
    assets = read_assets()
    on_demand = ("vendor/noble", "verify.js")
    first = {
        path: asset
        for path, asset in assets.items()
        if not path.startswith(on_demand) and not path.endswith(("LICENSE", "manifest.json"))
    }
    bytes_first = sum(len(asset.packed or asset.content) for asset in first.values())
    assert bytes_first < 130_000
    assert all(
        gzip.decompress(asset.packed) == asset.content for asset in assets.values() if asset.packed
    )


@pytest.mark.parametrize("folder", VENDORED, ids=["page", "tests"])
def test_what_is_vendored_is_npm_s_to_the_byte_but_for_relative_imports(folder: Path) -> None:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    listed = set()
    for name, package in manifest.items():
        place = folder / name.removeprefix("@").replace("/", "-")
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert "LICENSE" in package["files"], f"{name} has no licence beside it"
        for path, sha256 in package["files"].items():
            data = (place / path).read_bytes()
            if name != "@noble/hashes":
                data = re.sub(rb" from '(\.\./)+noble-hashes/", b" from '@noble/hashes/", data)
            assert hashlib.sha256(data).hexdigest() == sha256, f"{name}: {path}"
            listed.add(place / path)
    there = {path for path in folder.rglob("*") if path.is_file()}
    assert there - listed == {folder / "manifest.json"}


def test_a_file_of_an_unknown_kind_is_a_mistake_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.exe").touch()
    monkeypatch.setattr("gossip_price.adapters.http.live_page.files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match=r"index\.exe: a file of the live page has one of"):
        make_page_routes()


def test_the_fake_node_of_the_page_s_tests_speaks_as_a_real_one_does() -> None:
    node = FakeNode()
    node.silence(3)
    record = node.begin_round(node.round_index)
    node.observe(record, 0)
    report = node.propose(record, 1)
    node.sign(record, 0)
    node.sign(record, 2)
    node.store(record, report)
    node.lose(node.begin_round(node.round_index + 1), "split")
    spoken = [
        (network_answers.Network, node.describe_network()),
        (answers.RoundList, {"now": node.describe_network()["now"], "rounds": node.rounds}),
        (answers.PriceList, {"prices": node.prices, "next": None}),
        *((answers.Event, event) for event in node.events),
    ]
    for shape, said in spoken:
        read = msgspec.convert(said, shape)
        told = msgspec.to_builtins(read)
        assert find_unknown(said, told, shape.__name__) == []


def find_unknown(said: Any, told: Any, place: str) -> list[str]:
    """Return the fields that the fake says and no answer has."""
    if isinstance(said, dict) and isinstance(told, dict):
        return [
            found
            for key, value in said.items()
            for found in (
                find_unknown(value, told[key], f"{place}.{key}")
                if key in told
                else []
                if value is None
                else [f"{place}.{key}"]
            )
        ]
    if isinstance(said, list):
        return [
            found
            for at, (one, other) in enumerate(zip(said, told, strict=True))
            for found in find_unknown(one, other, f"{place}[{at}]")
        ]
    return []
