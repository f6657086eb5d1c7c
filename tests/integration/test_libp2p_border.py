"""Who gets in, and what those who do cannot do to us."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest
import trio
from libp2p.network.exceptions import SwarmException
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.pb import rpc_pb2
from multiaddr import Multiaddr

from gossip_price.adapters.libp2p.announcement import name_message_topic
from gossip_price.adapters.libp2p.swarm import build_host
from p2p_hostile import send_broken_frames_of_the_muxer, send_frames, visit
from p2p_network import (
    MEMBERS,
    NETWORK,
    QUICK,
    make_config,
    peer_id,
    run_node,
    run_star,
    until,
    until_heard,
)

STRANGER = 99


async def test_a_member_gets_in_by_noise_and_nobody_by_plaintext() -> None:
    async with run_node(1) as node:
        assert await visit(node.address, [2]) == [True]
        assert await visit(node.address, [2], plaintext=True) == [False]


async def test_a_peer_that_is_not_on_the_list_is_refused_when_it_dials() -> None:
    async with run_node(1) as node:
        assert await visit(node.address, [STRANGER]) == [False]
        assert node.transport.get_peers() == frozenset()
        assert node.count("refused_peers") >= 1


async def test_a_peer_that_is_not_on_the_list_is_refused_when_we_dial() -> None:
    # The DHT dials whom it hears of, past our redial loop: the handshake has to refuse.
    asked: list[str] = []

    def may_connect(peer: str) -> bool:
        asked.append(peer)
        return False

    async def dial() -> None:
        host = build_host(make_config(2), may_connect, lambda candidates: candidates)
        async with host.run(listen_addrs=[]):
            with pytest.raises(SwarmException), trio.fail_after(5):
                await host.connect(info_from_p2p_addr(Multiaddr(node.address)))
            await host.close()

    async with run_node(1) as node:
        await asyncio.to_thread(trio.run, dial)
        assert asked == [peer_id(1)]
        await until(lambda: node.transport.get_peers() == frozenset())


async def test_a_peer_that_is_not_on_the_list_is_not_dialed() -> None:
    async with run_node(STRANGER, allowed=MEMBERS | {peer_id(STRANGER)}) as stranger:
        book = {peer_id(STRANGER): (stranger.address,), peer_id(3): ("/ip4/127.0.0.1/tcp/1",)}
        async with run_node(2, known_peers=book) as node:
            await until(lambda: node.count("dial_failures") >= 2)
            assert stranger.count("refused_peers") == 0
            assert node.count("redials") == node.count("dials") - 1


async def test_admit_cuts_who_left_and_lets_in_who_came() -> None:
    async with run_star(2) as (hub, leaver):
        hub.transport.admit(frozenset({peer_id(3)}))
        await until(lambda: peer_id(2) not in hub.transport.get_peers())
        async with run_node(3, bootstrap=(hub.address,)) as comer:
            await until_heard(comer, [hub], b"here")
        hub.transport.admit(MEMBERS)
        await until(lambda: peer_id(2) in hub.transport.get_peers())
        await until_heard(leaver, [hub], b"back")


async def test_an_open_network_admits_strangers_and_keeps_room_for_members() -> None:
    crowded = replace(QUICK, strangers_max=0)
    async with run_node(1, open_access=True) as node:
        assert await visit(node.address, [STRANGER]) == [True]
    async with run_node(1, open_access=True, tuning=crowded) as node:
        assert await visit(node.address, [STRANGER, 2]) == [False, True]


async def test_a_penalized_peer_is_cut_and_refused_for_a_while() -> None:
    tuning = replace(QUICK, ban_s=1.0)
    async with run_star(2, tuning=tuning) as (hub, offender):
        hub.transport.penalize(peer_id(2), "a test")
        await until(lambda: peer_id(2) not in hub.transport.get_peers())
        assert hub.count("bans") == 1
        assert peer_id(2) not in hub.transport.get_peers()
        await until(lambda: hub.count("refused_peers") >= 1)
        await until_heard(offender, [hub], b"served")


def _message(author: bytes, key: bytes) -> bytes:
    message = rpc_pb2.Message(
        topicIDs=[name_message_topic(NETWORK)],
        from_id=author,
        key=key,
        data=b"x",
        seqno=b"1",
        signature=b"s",
    )
    return bytes(rpc_pb2.RPC(publish=[message]).SerializeToString())


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff",
        _message(author=b"", key=b"k"),
        _message(author=b"\x12\x20ab", key=b"\xff" * 8),
    ],
    ids=["no protobuf", "no author", "no key"],
)
async def test_a_member_that_sends_malformed_frames_does_not_kill_the_node(frame: bytes) -> None:
    assert len(frame) < 128
    async with run_star(2) as (hub, friend):
        await visit(hub.address, [3], send_frames(frame))
        await until_heard(friend, [hub], b"alive")
        assert hub.count("malformed") >= 1


async def test_a_member_whose_bytes_are_no_yamux_does_not_kill_the_node() -> None:
    async with run_star(2) as (hub, friend):
        await visit(hub.address, [3], send_broken_frames_of_the_muxer)
        await until_heard(friend, [hub], b"alive")


async def test_more_connections_than_slots_over_time_still_let_newcomers_in() -> None:
    # As shipped a slot is never given back: 8 slots would serve the first 8 visitors.
    tuning = replace(QUICK, connections_max=8)
    async with run_node(1, tuning=tuning) as node:
        assert await visit(node.address, list(range(2, 14))) == [True] * 12


async def test_silent_sockets_lock_nobody_out() -> None:
    tuning = replace(QUICK, connections_max=8, pending_per_ip=8, upgrade_timeout_s=60.0)
    async with run_node(1, tuning=tuning) as node:
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            assert await visit(node.address, [2, 3]) == [True, True]


async def test_a_flood_of_strangers_leaves_no_connection_behind() -> None:
    async with run_node(1) as node:
        refused = await asyncio.gather(*(visit(node.address, [STRANGER + n]) for n in range(4)))
        assert refused == [[False]] * 4
        await until(lambda: node.transport.get_peers() == frozenset())
