"""Nodes for the libp2p tests: quick intervals, what they heard, waiting by condition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gossip_price.adapters.libp2p import LibP2pConfig, LibP2pTransport, Tuning
from gossip_price.network.keys import compute_peer_id
from gossip_price.ports import Respond

NETWORK = b"\x11" * 32
QUICK = Tuning(
    tick_s=0.1,
    dial_timeout_s=3.0,
    backoff_max_s=1.0,
    bootstrap_backoff_max_s=0.5,
    ping_interval_s=5.0,
    announce_soon_s=0.2,
    announce_interval_s=5.0,
    lookup_interval_s=0.5,
    learned_interval_s=0.1,
    upgrade_timeout_s=5.0,
)


def secret(number: int) -> bytes:
    """The identity key of test node `number`."""
    return number.to_bytes(32, "big")


def peer_id(number: int) -> str:
    """The peer id of test node `number`."""
    return compute_peer_id(secret(number))


MEMBERS = frozenset(peer_id(number) for number in range(1, 21))


def make_config(number: int, **changes: Any) -> LibP2pConfig:
    """The configuration of test node `number` on a free loopback port."""
    config = LibP2pConfig(
        identity_secret=secret(number),
        listen=("/ip4/127.0.0.1/tcp/0",),
        network_id=NETWORK,
        allowed=MEMBERS,
        tuning=QUICK,
    )
    return replace(config, **changes)


@dataclass
class Running:
    """A transport and what it told us."""

    transport: LibP2pTransport
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    books: list[dict[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.transport.get_addresses()[0]

    @property
    def port(self) -> int:
        return int(self.address.split("/")[4])

    @property
    def payloads(self) -> set[bytes]:
        return {data for _, data in self.heard}

    def count(self, name: str) -> int:
        return self.transport.get_counters()[name]


def admit_all(_author: str, _data: bytes) -> bool:
    """A validator that lets everything pass."""
    return True


async def start_node(
    config: LibP2pConfig,
    admit: Callable[[str, bytes], bool] = admit_all,
    respond: Respond | None = None,
) -> Running:
    """Start a node; whoever starts it closes it."""
    books: list[dict[str, tuple[str, ...]]] = []
    running = Running(LibP2pTransport(config, admit, books.append), books=books)
    await running.transport.start(
        lambda author, data: running.heard.append((author, data)), respond
    )
    return running


@asynccontextmanager
async def run_node(
    number: int,
    admit: Callable[[str, bytes], bool] = admit_all,
    respond: Respond | None = None,
    **changes: Any,
) -> AsyncIterator[Running]:
    """Run test node `number` within a block."""
    running = await start_node(make_config(number, **changes), admit, respond)
    try:
        yield running
    finally:
        await running.transport.aclose()


@asynccontextmanager
async def run_star(count: int, **changes: Any) -> AsyncIterator[list[Running]]:
    """Run nodes 1 to `count`; the first is every other's bootstrap, all are connected to it."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(run_node(1, **changes))
        nodes = [hub]
        for number in range(2, count + 1):
            node = run_node(number, bootstrap=(hub.address,), **changes)
            nodes.append(await stack.enter_async_context(node))
        await until(lambda: len(hub.transport.get_peers()) == count - 1)
        yield nodes


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition by polling; TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is in other processes
            await asyncio.sleep(0.02)


async def until_heard(sender: Running, receivers: list[Running], data: bytes) -> None:
    """Publish until the first copies have come through: the paths are there from then on."""
    async with asyncio.timeout(15):
        attempt = 0
        while not all(
            any(payload.startswith(data) for payload in receiver.payloads) for receiver in receivers
        ):
            await sender.transport.publish(data + str(attempt).encode())
            attempt += 1
            await asyncio.sleep(0.1)
