"""One question, one answer, between two hosts; and what each may cost the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from multiaddr import Multiaddr

from gossip_price.adapters.libp2p import LibP2pTransport
from gossip_price.adapters.libp2p.exchange import name_exchange
from gossip_price.adapters.libp2p.muxer import cut
from gossip_price.core.limits import ANSWER_BYTES_MAX, QUESTION_BYTES_MAX
from gossip_price.ports import RequestError, Respond
from p2p_hostile import build, visit
from p2p_network import NETWORK, Running, peer_id, run_node, until

STRANGER = 99
DEADLINE_S = 10.0
PROTOCOL = name_exchange(NETWORK)


async def echo(_peer: str, data: bytes) -> bytes:
    return data


@asynccontextmanager
async def run_pair(respond: Respond | None) -> AsyncIterator[tuple[Running, LibP2pTransport]]:
    """Run a node that answers and one, connected to it, that asks."""
    async with (
        run_node(1, respond=respond) as asked,
        run_node(2, bootstrap=(asked.address,)) as asker,
    ):
        await until(lambda: peer_id(1) in asker.transport.get_peers())
        yield asked, asker.transport


async def get_trouble(asker: LibP2pTransport, data: bytes = b"?", deadline_s: float = 10.0) -> str:
    with pytest.raises(RequestError) as caught:
        await asker.request(peer_id(1), data, deadline_s)
    return caught.value.reason


async def test_the_answer_is_the_responders_and_the_asker_is_known_by_its_connection() -> None:
    async def respond(peer: str, data: bytes) -> bytes:
        return peer.encode() + data

    async with run_pair(respond) as (_, asker):
        for number in range(20):
            question = b" %d" % number
            answer = await asker.request(peer_id(1), question, DEADLINE_S)
            assert answer == peer_id(2).encode() + question


async def test_the_largest_question_and_the_largest_answer_arrive_whole() -> None:
    async def respond(_peer: str, data: bytes) -> bytes:
        return bytes([len(data) % 251]) * ANSWER_BYTES_MAX

    async with run_pair(respond) as (_, asker):
        answer = await asker.request(peer_id(1), bytes(QUESTION_BYTES_MAX), DEADLINE_S)
        assert answer == bytes([QUESTION_BYTES_MAX % 251]) * ANSWER_BYTES_MAX


async def test_an_answer_that_is_too_large_is_not_read() -> None:
    async def respond(_peer: str, _data: bytes) -> bytes:
        return bytes(ANSWER_BYTES_MAX + 1)

    async with run_pair(respond) as (_, asker):
        assert await get_trouble(asker) == "too_large"
        assert peer_id(1) in asker.get_peers()


async def test_who_asks_too_large_a_question_is_banned() -> None:
    async with run_pair(echo) as (asked, asker):
        assert await get_trouble(asker, bytes(QUESTION_BYTES_MAX + 1)) == "broken"
        await until(lambda: asked.count("bans") == 1)
        await until(lambda: peer_id(2) not in asked.transport.get_peers())


async def test_a_slow_responder_costs_its_deadline_and_not_the_next_question() -> None:
    gate = asyncio.Event()

    async def respond(_peer: str, data: bytes) -> bytes:
        if data == b"slow":
            await gate.wait()
        return data

    async with run_pair(respond) as (_, asker):
        assert await get_trouble(asker, b"slow", deadline_s=0.3) == "timeout"
        assert await asker.request(peer_id(1), b"quick", DEADLINE_S) == b"quick"
        gate.set()


async def test_one_question_at_a_time_a_peer() -> None:
    gate, heard = asyncio.Event(), asyncio.Event()

    async def respond(_peer: str, data: bytes) -> bytes:
        heard.set()
        await gate.wait()
        return data

    async with run_pair(respond) as (_, asker):
        first = asyncio.create_task(asker.request(peer_id(1), b"first", DEADLINE_S))
        await heard.wait()
        assert await get_trouble(asker, b"second") == "busy"
        gate.set()
        assert await first == b"first"


async def refuse(_peer: str, _data: bytes) -> bytes:
    return b""


async def fail(_peer: str, _data: bytes) -> bytes:
    raise RuntimeError("a bug of ours")


@pytest.mark.parametrize(
    ("respond", "reason"), [(refuse, "refused"), (fail, "broken"), (None, "refused")]
)
async def test_no_answer_is_told_at_once(respond: Respond | None, reason: str) -> None:
    async with run_pair(respond) as (_, asker):
        for _ in range(2):
            assert await get_trouble(asker) == reason
        assert peer_id(1) in asker.get_peers()


async def test_who_is_not_connected_is_not_asked() -> None:
    async with run_node(2) as asker:
        assert await get_trouble(asker.transport) == "unconnected"
        await asker.transport.aclose()
        assert await get_trouble(asker.transport) == "unconnected"


async def test_a_responder_that_goes_away_is_noticed() -> None:
    heard = asyncio.Event()

    async def respond(_peer: str, _data: bytes) -> bytes:
        heard.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    async with run_pair(respond) as (asked, asker):
        question = asyncio.create_task(get_trouble(asker))
        await heard.wait()
        await asked.transport.aclose()
        assert await question == "broken"


# --- peers that do not play by the rules ----------------------------------------------------


Behaviour = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def run_hostile(behave: Behaviour) -> AsyncIterator[LibP2pTransport]:
    """Run a bare host as test node 1 that answers as it likes; yield who is connected to it."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop, over = asyncio.get_running_loop(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def live() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        host = build(1)
        host.set_stream_handler(PROTOCOL, behave)
        async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
            loop.call_soon_threadsafe(ready.set_result, str(host.get_addrs()[0]))
            await over.wait()
            # What still writes would never be let go.
            for connection in host.get_network().get_connections():
                await cut(connection)
            await host.close()

    thread = asyncio.create_task(asyncio.to_thread(trio.run, live))
    try:
        async with asyncio.timeout(10):
            address = await ready
        async with run_node(2, bootstrap=(address,)) as asker:
            await until(lambda: peer_id(1) in asker.transport.get_peers())
            yield asker.transport
    finally:
        tokens[0].run_sync_soon(over.set)
        await thread


async def close_at_once(stream: Any) -> None:
    await stream.reset()


async def close_within_the_answer(stream: Any) -> None:
    await stream.read(5)
    await stream.write((1_000).to_bytes(4, "big") + b"only this")
    await stream.close()


async def close_within_the_length(stream: Any) -> None:
    await stream.read(5)
    await stream.write(b"\0\0")
    await stream.close()


async def send_without_end(stream: Any) -> None:
    with suppress(Exception):
        while True:
            await stream.write(b"\xff" * 65_536)


async def drip(stream: Any) -> None:
    with suppress(Exception):
        await stream.write((1_000).to_bytes(4, "big"))
        while True:
            await stream.write(b".")
            await trio.sleep(0.05)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (close_at_once, "broken"),
        (close_within_the_answer, "broken"),
        (close_within_the_length, "broken"),
        (send_without_end, "too_large"),
        (drip, "timeout"),
    ],
)
async def test_a_peer_that_answers_badly_costs_one_question(behave: Behaviour, reason: str) -> None:
    async with run_hostile(behave) as asker:
        for _ in range(2):
            assert await get_trouble(asker, deadline_s=1.0) == reason


def open_streams(count: int, data: bytes, got: list[str]) -> Any:
    """A deed: open so many streams at once, write this on each, note how each ends."""

    async def deed(host: Any, peer: Any) -> None:
        async def one() -> None:
            stream = await host.new_stream(peer, [PROTOCOL])
            try:
                await stream.write(data)
                answer = await stream.read(64)
            except (StreamReset, StreamEOF):
                got.append("ended")
            else:
                got.append("answered" if answer else "ended")

        with trio.move_on_after(2):
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(one)

    return deed


QUESTION = (1).to_bytes(4, "big") + b"?"


async def test_who_is_no_member_is_not_answered_in_an_open_network() -> None:
    got: list[str] = []
    async with run_node(1, respond=echo, open_access=True) as asked:
        await visit(asked.address, [STRANGER], open_streams(1, QUESTION, got))
        assert got == ["ended"]
        assert asked.count("refused_questions") == 1
        await visit(asked.address, [2], open_streams(1, QUESTION, got))
        assert got == ["ended", "answered"]


async def test_of_many_questions_of_one_peer_one_is_served_at_a_time() -> None:
    served: list[int] = []
    waiting = 0

    async def respond(_peer: str, data: bytes) -> bytes:
        nonlocal waiting
        waiting += 1
        served.append(waiting)
        await asyncio.sleep(0.2)
        waiting -= 1
        return data

    got: list[str] = []
    async with run_node(1, respond=respond) as asked:
        await visit(asked.address, [2], open_streams(32, QUESTION, got))
        assert "answered" in got
        assert set(served) == {1}
        assert asked.count("refused_questions") >= 16
        # Whoever comes next finds the place free.
        got.clear()
        await visit(asked.address, [3], open_streams(1, QUESTION, got))
        assert got == ["answered"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\x09half", b"\0\0\0\x01?and more"])
async def test_a_question_that_is_none_does_not_keep_its_place(data: bytes) -> None:
    got: list[str] = []
    async with run_node(1, respond=echo) as asked:
        await visit(asked.address, [2], open_streams(1, data, got))
        await visit(asked.address, [2], open_streams(1, QUESTION, got))
        assert got[-1] == "answered"
