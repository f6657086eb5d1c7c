"""Peers that do not play by the rules: bare libp2p hosts and bare sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import coincurve
import trio
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from multiaddr import Multiaddr

from gossip_price.adapters.libp2p import quiet
from gossip_price.adapters.libp2p.muxer import PROTOCOL_ID as YAMUX
from gossip_price.adapters.libp2p.muxer import GuardedYamux
from p2p_network import secret

Deed = Callable[[Any, Any], Awaitable[None]]


def build(number: int, *, plaintext: bool = False) -> Any:
    """Make a bare host with the identity of test node `number`."""
    private_key = Secp256k1PrivateKey(coincurve.PrivateKey(secret(number)))
    pair = KeyPair(private_key, private_key.get_public_key())
    security = (
        {PLAINTEXT_PROTOCOL_ID: InsecureTransport(pair)}
        if plaintext
        else {NOISE: Noise(pair, noise_privkey=create_new_key_pair().private_key)}
    )
    return quiet.new_host(key_pair=pair, sec_opt=security, muxer_opt={YAMUX: GuardedYamux})


async def visit(
    address: str, numbers: list[int], deed: Deed | None = None, *, plaintext: bool = False
) -> list[bool]:
    """Connect as each of `numbers` in turn, do `deed(host, peer)`, leave; who got in?

    Getting in means that a stream can be negotiated: a refused dialer has finished its side
    of the handshake before it learns of the refusal.
    """

    async def one(number: int) -> bool:
        host = build(number, plaintext=plaintext)
        info = info_from_p2p_addr(Multiaddr(address))
        async with host.run(listen_addrs=[]):
            try:
                with trio.fail_after(5):
                    await host.connect(info)
                    await host.new_stream(info.peer_id, ["/ipfs/ping/1.0.0"])
            except Exception:  # noqa: BLE001  # whatever it is called, it did not get in
                return False
            if deed is not None:
                await deed(host, info.peer_id)
            await host.close()
        return True

    async def all_of_them() -> list[bool]:
        return [await one(number) for number in numbers]

    return await asyncio.to_thread(trio.run, all_of_them)


def send_frames(*frames: bytes) -> Deed:
    """A deed: open a pubsub stream and write these length-prefixed frames."""

    async def deed(host: Any, peer: Any) -> None:
        stream = await host.new_stream(peer, ["/meshsub/1.1.0"])
        for frame in frames:
            await stream.write(bytes([len(frame)]) + frame)
        # The node answers by cutting us or by ignoring us; either way it has read by then.
        with trio.move_on_after(0.5), suppress(StreamEOF, StreamReset):
            await stream.read(1)

    return deed


async def send_broken_frames_of_the_muxer(host: Any, peer: Any) -> None:
    """A deed: after Noise and the muxer's negotiation, write bytes that are no Yamux."""
    (connection,) = host.get_network().get_connections(peer)
    await connection.muxed_conn.secured_conn.write(b"\x07" * 256)
    await trio.sleep(0.2)
