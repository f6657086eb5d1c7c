"""What kopf's session asks for: metadata of what is watched, and all of the rest."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from gossip_price_operator.login import log_in

PARTIAL = "application/json;as=PartialObjectMetadata"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/api/v1/secrets?watch=true", f"{PARTIAL};g=meta.k8s.io;v=v1"),
        ("/api/v1/namespaces/a/secrets?limit=50", f"{PARTIAL}List;g=meta.k8s.io;v=v1"),
        # kopf reads which versions a kind of its own has, and the names of namespaces.
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=true", "*/*"),
        ("/api/v1/namespaces", "*/*"),
        ("/apis/apps/v1", "*/*"),
    ],
)
async def test_metadata_alone_is_asked_of_what_is_watched(
    path: str, accept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.json_response({"items": None})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        write_kubeconfig(tmp_path / "kubeconfig", str(server.make_url("")).rstrip("/"))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        login = log_in(
            ("secrets", "deployments"), logger=logging.getLogger(), settings=kopf.OperatorSettings()
        )
        assert login is not None
        async with login.aiohttp_session as session, session.get(login.server + path) as got:
            # kopf goes through them without asking whether there are any.
            assert await got.json() == {"items": []}
    assert [(each["Accept"], each["Authorization"]) for each in seen] == [(accept, "Bearer me")]


def test_nobody_logs_in_without_a_word_of_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    assert log_in((), logger=logging.getLogger(), settings=kopf.OperatorSettings()) is None


def write_kubeconfig(path: Path, server: str) -> None:
    parts: dict[str, Any] = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "me"}}],
    }
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **parts}))
