"""Coming, being gone, coming back: what a node does while others live and die."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gossip_price.adapters.libp2p import LibP2pTransport, TransportFailedError
from p2p_network import (
    MEMBERS,
    QUICK,
    Running,
    admit_all,
    make_config,
    peer_id,
    run_node,
    run_star,
    secret,
    start_node,
    until,
    until_heard,
)

TESTS = Path(__file__).resolve().parents[1]


@asynccontextmanager
async def run_process(number: int, bootstrap: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a test node as a process; it is connected to its bootstrap within the block."""
    paths = [str(TESTS), str(TESTS.parent / "node")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TESTS / "p2p_process.py"),
        str(number),
        bootstrap,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_peer_that_stopped_answering_is_cut() -> None:
    tuning = replace(QUICK, ping_interval_s=0.3, ping_timeout_s=0.5)
    async with run_node(1, tuning=tuning) as hub, run_process(2, hub.address) as process:
        await until(lambda: peer_id(2) in hub.transport.get_peers())
        process.send_signal(signal.SIGSTOP)
        await until(lambda: peer_id(2) not in hub.transport.get_peers())
        assert hub.count("dead_connections") >= 1


async def test_each_connection_tells_who_dialed_since_when_and_how_long_a_ping_takes() -> None:
    tuning = replace(QUICK, ping_interval_s=0.05)
    before_ms = time.time_ns() // 1_000_000
    async with run_star(2, tuning=tuning) as (hub, leaf):
        for node, other, is_inbound in ((hub, 2, True), (leaf, 1, False)):
            transport = node.transport
            await until(partial(has_pinged, transport))
            (connection,) = transport.get_connections()
            assert connection.peer == peer_id(other)
            assert connection.is_inbound is is_inbound
            assert before_ms <= connection.since_ms <= time.time_ns() // 1_000_000
            assert connection.ping_ms is not None
            assert 0 < connection.ping_ms < 5_000
        await leaf.transport.aclose()
        await until(lambda: hub.transport.get_connections() == ())


def has_pinged(transport: LibP2pTransport) -> bool:
    return any(connection.ping_ms is not None for connection in transport.get_connections())


async def test_a_peer_that_answers_is_not_cut_by_the_prober() -> None:
    tuning = replace(QUICK, ping_interval_s=0.05, ping_timeout_s=5.0)
    async with run_star(2, tuning=tuning) as (hub, leaf):
        await until_heard(leaf, [hub], b"one")
        for number in range(10):
            await until_heard(leaf, [hub], b"more %d " % number)
        assert hub.count("dead_connections") == leaf.count("dead_connections") == 0


async def test_a_killed_peer_is_noticed_and_served_again_when_it_returns() -> None:
    async with run_node(1) as hub:
        for _ in range(2):
            async with run_process(2, hub.address) as process:
                await until(lambda: peer_id(2) in hub.transport.get_peers())
                process.kill()
                await until(lambda: peer_id(2) not in hub.transport.get_peers())


def sees(node: Running, peers: set[str]) -> bool:
    """Whether exactly these peers are connected."""
    return node.transport.get_peers() == peers


def count_open_sockets_to(port: int) -> int:
    """Count this process's client sockets to a port, those that the other side closed too."""
    count = 0
    for each in gc.get_objects():
        if isinstance(each, socket.socket) and each.family == socket.AF_INET:
            try:
                peer = each.getpeername()
            except OSError:
                continue  # closed, or a listener
            count += isinstance(peer, tuple) and peer[1] == port
    return count


async def test_a_connection_that_the_other_side_ended_leaves_no_socket_open() -> None:
    async with run_star(2) as (hub, leaf):
        port = hub.port
        await until(lambda: peer_id(1) in leaf.transport.get_peers())
        assert count_open_sockets_to(port) >= 1
        await hub.transport.aclose()
        await until(lambda: count_open_sockets_to(port) == 0)


async def test_leaves_are_back_after_the_bootstrap_restarted_on_its_port() -> None:
    async with AsyncExitStack() as stack:
        hub = await start_node(make_config(1))
        address, port = hub.address, hub.port
        leaf = await stack.enter_async_context(run_node(2, bootstrap=(address,)))
        await until(lambda: peer_id(1) in leaf.transport.get_peers())
        await hub.transport.aclose()
        await until(lambda: peer_id(1) not in leaf.transport.get_peers())
        await until(lambda: leaf.count("dial_failures") >= 2)
        back = await stack.enter_async_context(run_node(1, listen=(f"/ip4/127.0.0.1/tcp/{port}",)))
        await until(lambda: peer_id(1) in leaf.transport.get_peers())
        await until_heard(leaf, [back], b"again")
        assert leaf.count("redials") >= 1


async def test_a_newcomer_that_knows_only_the_bootstrap_finds_all_others() -> None:
    async with AsyncExitStack() as stack:
        boot = await stack.enter_async_context(run_node(1, is_bootstrap=True))
        others = [
            await stack.enter_async_context(run_node(number, bootstrap=(boot.address,)))
            for number in range(2, 6)
        ]
        everybody = {peer_id(number) for number in range(1, 6)}
        for node, number in zip(others, range(2, 6), strict=True):
            await until(partial(sees, node, everybody - {peer_id(number)}))
        newcomer = await stack.enter_async_context(run_node(6, bootstrap=(boot.address,)))
        await until(lambda: newcomer.transport.get_peers() == everybody)
        await until_heard(newcomer, others, b"I am new")


async def test_the_dht_alone_finds_others_when_nobody_announces() -> None:
    # Announcements are an hour apart and a newcomer's own arrives nowhere: nobody is wanting.
    silent = replace(QUICK, announce_soon_s=600.0)
    content = replace(silent, connections_wanted=0)
    async with (
        run_node(1, is_bootstrap=True, tuning=silent) as boot,
        run_node(2, bootstrap=(boot.address,), tuning=content) as settled,
    ):
        await until(lambda: peer_id(1) in settled.transport.get_peers())
        async with run_node(3, bootstrap=(boot.address,), tuning=silent) as newcomer:
            await until(lambda: peer_id(2) in newcomer.transport.get_peers())
            assert newcomer.count("announcements") == 0


async def test_the_peer_book_is_handed_over_and_is_enough_without_a_bootstrap() -> None:
    async with run_node(1) as old:
        async with run_node(2, bootstrap=(old.address,)) as node:
            await until(lambda: any(peer_id(2) in book for book in old.books))
            (address,) = old.books[-1][peer_id(2)]
            assert address == node.address.split("/p2p/")[0]
        listen = (f"/ip4/127.0.0.1/tcp/{old.port}",)
    book = {peer_id(1): listen}
    async with run_node(1, listen=listen), run_node(3, known_peers=book) as returned:
        await until(lambda: peer_id(1) in returned.transport.get_peers())


async def test_a_bootstrap_given_by_name_is_resolved_by_the_system() -> None:
    async with run_node(1) as boot:
        named = f"/dns4/localhost/tcp/{boot.port}/p2p/{peer_id(1)}"
        async with run_node(2, bootstrap=(named,)) as node:
            await until(lambda: peer_id(1) in node.transport.get_peers())


async def test_a_node_on_any_interface_announces_an_address_that_can_be_dialed() -> None:
    async with run_node(1, listen=("/ip4/0.0.0.0/tcp/0",)) as hub:  # the trap
        address = f"/ip4/127.0.0.1/tcp/{hub.port}/p2p/{peer_id(1)}"
        async with run_node(2, bootstrap=(address,)) as node:
            await until(lambda: any(peer_id(1) in book for book in node.books))
            assert all("/0.0.0.0/" not in each for each in node.books[-1][peer_id(1)])


async def test_a_taken_port_is_refused_by_name_though_it_could_be_shared() -> None:
    async with run_node(1) as first:
        config = make_config(2, listen=(f"/ip4/127.0.0.1/tcp/{first.port}",))
        with pytest.raises(OSError, match=f"/ip4/127.0.0.1/tcp/{first.port}"):
            await start_node(config)


async def test_an_address_that_is_not_ours_is_refused_by_name() -> None:
    with pytest.raises(OSError, match=r"/ip4/192\.0\.2\.1/tcp/4001"):
        await start_node(make_config(1, listen=("/ip4/192.0.2.1/tcp/4001",)))


async def test_a_crash_of_the_p2p_thread_is_raised_to_whoever_waits() -> None:
    def crash() -> None:
        raise ZeroDivisionError("a bug within libp2p")

    node = await start_node(make_config(1))
    node.transport._call_soon(crash)
    with pytest.raises(TransportFailedError) as caught:
        async with asyncio.timeout(10):
            await node.transport.wait_failed()
    assert caught.value.__cause__ is not None
    with pytest.raises(ConnectionError):
        await node.transport.publish(b"too late")
    await node.transport.aclose()


async def test_closing_flushes_says_goodbye_and_ends_the_wait() -> None:
    async with run_star(4) as (hub, leaver, *_):
        await until_heard(leaver, [hub], b"path")
        last = [b"last words %d" % number for number in range(50)]
        for data in last:
            await leaver.transport.publish(data)
        async with asyncio.timeout(2.5):
            await leaver.transport.aclose()
            await leaver.transport.wait_failed()
        await until(lambda: hub.payloads >= set(last))
        await until(lambda: peer_id(2) not in hub.transport.get_peers())
        await leaver.transport.aclose()
        with pytest.raises(ConnectionError):
            await leaver.transport.publish(b"too late")


async def test_a_transport_that_never_started_is_closed_at_once() -> None:
    transport = LibP2pTransport(make_config(1), admit_all, lambda _book: None)
    assert transport.get_peers() == frozenset()
    await transport.aclose()


async def test_libp2p_leaves_our_logging_alone() -> None:
    logger = logging.getLogger("libp2p")
    assert logger.propagate
    assert logger.handlers == []
    assert secret(1).hex() not in repr(make_config(1))
    assert MEMBERS
