"""Waiting that counts the time in which the process ran."""

from __future__ import annotations

import asyncio

import pytest

from gossip_price.adapters.libp2p.awake import wait_awake

HOUR_S = 3_600


async def test_a_process_that_stood_still_for_an_hour_has_not_waited_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When it goes on, every timer is due, and the other thread has not said anything yet."""
    loop = asyncio.get_running_loop()
    time_s, stood_s = loop.time, 0
    monkeypatch.setattr(loop, "time", lambda: time_s() + stood_s)
    answer: asyncio.Future[str] = loop.create_future()

    def stand_still() -> None:
        nonlocal stood_s
        stood_s = HOUR_S
        loop.call_later(0.01, answer.set_result, "queued")

    loop.call_later(0.01, stand_still)
    assert await wait_awake(answer, 10) == "queued"


async def test_who_never_answers_is_given_up() -> None:
    silent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await wait_awake(silent, 0.02, step_s=0.01)
    assert silent.cancelled()


async def test_what_it_fails_with_is_raised_and_who_stops_waiting_cancels_it() -> None:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    failed.set_exception(ConnectionError("ended"))
    with pytest.raises(ConnectionError, match="ended"):
        await wait_awake(failed, 10)
    left: asyncio.Future[None] = loop.create_future()
    waiting = asyncio.create_task(wait_awake(left, 10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left.cancelled()
