"""Events over a real socket: live, resumed, after a gap, and for readers that do not read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from gossip_price.adapters.http import HttpServer, events_stream, make_event_routes
from gossip_price.adapters.live import EventRing, TooManyListenersError
from gossip_price.adapters.live.events import LISTENERS_MAX

URL = "/api/v1/events"


class Healthy:
    def find_live_problems(self) -> dict[str, str]:
        return {}

    def find_ready_problems(self) -> dict[str, str]:
        return {}


class Reader:
    """Somebody who listens; `read` gives one event after the other, as (name, id, data)."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def read(self) -> tuple[str, str, Any]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    return fields["event"], fields["id"], json.loads(fields["data"])
                else:
                    fields = {}
        raise EOFError


@pytest.fixture
async def ring() -> EventRing:
    return EventRing(1_000, size=8)


@pytest.fixture
async def server(ring: EventRing) -> AsyncIterator[HttpServer]:
    server = HttpServer("127.0.0.1:0", Healthy(), CollectorRegistry(), make_event_routes(ring))
    await server.start()
    yield server
    ring.close()
    await server.aclose()


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=20) as client:
        yield client


async def wait_for_listeners(ring: EventRing, count: int) -> None:
    async with asyncio.timeout(20):
        while ring.listeners != count:  # noqa: ASYNC110 - a ring rings no bell for this
            await asyncio.sleep(0.01)


async def test_events_come_as_they_happen(client: httpx.AsyncClient, ring: EventRing) -> None:
    ring.append("proven", {"round": 0})  # before anybody listened
    async with client.stream("GET", URL) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        reader = Reader(response)
        await wait_for_listeners(ring, 1)
        ring.append("proven", {"round": 1})
        ring.append("settled", {"round": 1})
        assert await reader.read() == ("proven", "1000-2", {"round": 1})
        assert await reader.read() == ("settled", "1000-3", {"round": 1})
    await wait_for_listeners(ring, 0)


async def test_who_comes_back_misses_nothing(client: httpx.AsyncClient, ring: EventRing) -> None:
    for number in range(1, 6):
        ring.append("proven", {"round": number})
    async with client.stream("GET", URL, headers={"last-event-id": "1000-3"}) as response:
        reader = Reader(response)
        assert [(await reader.read())[1] for _ in range(2)] == ["1000-4", "1000-5"]


async def test_who_comes_back_before_the_first_event_has_a_place_too(
    client: httpx.AsyncClient, ring: EventRing
) -> None:
    ring.append("proven", {"round": 1})
    async with client.stream("GET", URL) as response:
        head = await anext(response.aiter_bytes())
    assert head == b"retry: 2000\nid: 1000-1\n\n"


@pytest.mark.parametrize(
    "place",
    ["1000-1", "999-19", "1000-21", "2000-20"],
    ids=["no more kept", "another life", "never happened", "a later life"],
)
async def test_a_gap_is_told(client: httpx.AsyncClient, ring: EventRing, place: str) -> None:
    for number in range(1, 21):
        ring.append("proven", {"round": number})
    async with client.stream("GET", URL, headers={"last-event-id": place}) as response:
        reader = Reader(response)
        name, id_, data = await reader.read()
        assert (name, id_) == ("gap", "1000-20")
        assert "load anew" in data["detail"]
        ring.append("proven", {"round": 21})
        assert (await reader.read())[1] == "1000-21"


async def test_the_oldest_event_that_is_kept_can_be_asked_for(
    client: httpx.AsyncClient, ring: EventRing
) -> None:
    for number in range(1, 21):
        ring.append("proven", {"round": number})
    async with client.stream("GET", URL, headers={"last-event-id": "1000-12"}) as response:
        assert (await Reader(response).read())[1] == "1000-13"


@pytest.mark.parametrize("place", ["x", "1-", "-1", "1000-١", "1" * 50, "1-2-3"])
async def test_an_id_that_is_none_is_refused(client: httpx.AsyncClient, place: str) -> None:
    answer = await client.get(URL, headers=[(b"last-event-id", place.encode())])
    assert (answer.status_code, answer.json()["parameter"]) == (400, "Last-Event-ID")


async def test_two_hundred_listeners_hear_the_same(
    client: httpx.AsyncClient, server: HttpServer, ring: EventRing
) -> None:
    async def listen() -> tuple[str, str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {URL} HTTP/1.1\r\nhost: node\r\n\r\n".encode())
        text = (await reader.readuntil(b'"round":7}')).decode()
        writer.close()
        return text.partition("event: ")[2].partition("\n")[0], "", None

    listening = [asyncio.create_task(listen()) for _ in range(200)]
    await wait_for_listeners(ring, 200)
    assert (await client.get("/livez")).status_code == 200
    ring.append("proven", {"round": 7})
    assert {name for name, _, _ in await asyncio.gather(*listening)} == {"proven"}
    await wait_for_listeners(ring, 0)


async def test_one_listener_more_than_there_is_room_for_is_told_to_come_back(
    client: httpx.AsyncClient, ring: EventRing
) -> None:
    listeners = [ring.join() for _ in range(LISTENERS_MAX)]
    answer = await client.get(URL)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    ring.leave(listeners[0])
    async with client.stream("GET", URL) as response:
        assert response.status_code == 200
        with pytest.raises(TooManyListenersError):
            ring.join()


async def test_who_does_not_read_is_cut_off_and_nobody_waits_for_him(
    client: httpx.AsyncClient,
    server: HttpServer,
    ring: EventRing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(events_stream, "SEND_S", 0.3)
    stuck = socket.create_connection(("127.0.0.1", server.port))
    stuck.sendall(f"GET {URL} HTTP/1.1\r\nhost: node\r\n\r\n".encode())
    await wait_for_listeners(ring, 1)
    async with client.stream("GET", URL) as response:
        reader = Reader(response)
        await wait_for_listeners(ring, 2)
        filler = "x" * 1_000_000  # the kernel's buffers take some of them
        async with asyncio.timeout(20):
            while ring.listeners == 2:
                ring.append("proven", {"filler": filler})
                assert (await reader.read())[0] == "proven"
        ring.append("settled", {})
        assert (await reader.read())[0] == "settled"
    stuck.close()
    assert caplog.records == []


async def test_a_listener_that_fell_behind_the_whole_ring_has_lost_its_place(
    ring: EventRing,
) -> None:
    listener = ring.join()
    for number in range(9):
        ring.append("proven", {"round": number})
    assert listener.take() is None


async def test_silence_is_filled_with_comments(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_stream, "KEEPALIVE_S", 0.01)
    async with client.stream("GET", URL) as response:
        lines = response.aiter_lines()
        async with asyncio.timeout(20):
            while await anext(lines) != ": still here":
                pass


async def test_leaving_ends_the_streams_in_order(
    client: httpx.AsyncClient, ring: EventRing
) -> None:
    async with client.stream("GET", URL) as response:
        await wait_for_listeners(ring, 1)
        ring.append("stored", {})
        ring.close()
        text = (await response.aread()).decode()
    assert "event: stored" in text


async def test_head_asks_for_nothing(client: httpx.AsyncClient, ring: EventRing) -> None:
    answer = await client.head(URL)
    assert (answer.status_code, ring.listeners) == (200, 0)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
