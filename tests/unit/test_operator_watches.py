"""Watches that break are begun anew, and as long as they are broken the operator is not ready."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gossip_price_operator import __main__ as program
from gossip_price_operator.metrics import make_registry
from gossip_price_operator.probes import make_probes
from gossip_price_operator.settings import load_settings
from gossip_price_operator.workers import Workers


@pytest.mark.parametrize(("deaf", "status"), [(None, 200), ("the watches broke: no username", 503)])
async def test_who_does_not_hear_of_networks_is_alive_and_not_ready(
    deaf: str | None, status: int
) -> None:
    now = asyncio.get_running_loop().time()
    app = make_probes(lambda _now: None, lambda: now, make_registry(), lambda: deaf)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/livez")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == status
        assert (await answer.json()).get("problem") == deaf


async def test_watches_that_break_are_begun_anew_and_told_until_they_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    attempts = iter(range(2))

    def watch(_settings: Any, _mark: Any, stop: Any) -> None:
        attempt = next(attempts)
        loop.call_soon_threadsafe(begun.put_nowait, attempt)
        if attempt == 0:
            raise OSError("no username")
        stop.wait()

    monkeypatch.setattr(program, "_run_kopf", watch)
    monkeypatch.setattr(program, "_PAUSE_FIRST_S", 0.0)
    watches = program._Watches()
    settings = load_settings({"GPO_NODE_IMAGE": "node:1"})
    watching = asyncio.create_task(program._watch(settings, cast(Workers, None), watches))
    async with asyncio.timeout(30):
        assert await begun.get() == 0
        assert await begun.get() == 1
    assert watches.problem == "the watches broke: no username"
    watches.mend()
    assert watches.problem is None
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
