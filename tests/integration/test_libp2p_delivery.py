"""Messages arrive, whole, once, and under their author's name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gossip_price.core.limits import MESSAGE_BYTES_MAX
from p2p_network import QUICK, peer_id, run_node, run_star, until, until_heard

#: Nobody dials whom the bootstrap or others name: a star stays a star.
STAR = replace(QUICK, connections_wanted=0)


async def test_a_burst_of_300_messages_arrives_complete_and_once() -> None:
    async with run_star(2) as (sender, receiver):
        await until_heard(sender, [receiver], b"path")
        burst = [b"burst%d" % number for number in range(300)]
        for data in burst:
            await sender.transport.publish(data)
        await until(lambda: receiver.payloads >= set(burst))
        heard = [data for _, data in receiver.heard if data.startswith(b"burst")]
        assert len(heard) == 300
        assert receiver.count("dropped") == 0


async def test_the_author_is_the_origin_and_not_who_forwarded() -> None:
    async with run_star(3, tuning=STAR) as (hub, left, right):
        await until_heard(left, [hub, right], b"from the left")
        assert left.transport.get_peers() == {peer_id(1)}
        assert {author for author, _ in right.heard} == {peer_id(2)}


async def test_large_messages_arrive_whole_and_larger_ones_are_refused() -> None:
    async with run_star(2) as (sender, receiver):
        await until_heard(sender, [receiver], b"path")
        large = [bytes([number]) * MESSAGE_BYTES_MAX for number in range(4)]
        for data in large:
            await sender.transport.publish(data)
        await until(lambda: receiver.payloads >= set(large))
        with pytest.raises(ValueError, match=f"at most {MESSAGE_BYTES_MAX} bytes"):
            await sender.transport.publish(bytes(MESSAGE_BYTES_MAX + 1))


async def test_a_message_that_is_not_admitted_is_neither_delivered_nor_relayed() -> None:
    def admit(_author: str, data: bytes) -> bool:
        return not data.startswith(b"bad")

    async with (
        run_node(1, admit, tuning=STAR) as hub,
        run_node(2, bootstrap=(hub.address,), tuning=STAR) as left,
        run_node(3, bootstrap=(hub.address,), tuning=STAR) as right,
    ):
        await until_heard(left, [hub, right], b"good")
        await left.transport.publish(b"bad")
        await until(lambda: hub.count("rejected") == 1)
        await until_heard(left, [right], b"later")
        assert b"bad" not in hub.payloads | right.payloads


async def test_a_validator_that_raises_costs_the_message_and_not_the_node() -> None:
    def admit(_author: str, data: bytes) -> bool:
        if data == b"trap":
            raise RuntimeError("a bug of ours")
        return True

    async with run_node(1, admit) as hub, run_node(2, bootstrap=(hub.address,)) as sender:
        await until_heard(sender, [hub], b"before")
        await sender.transport.publish(b"trap")
        await until(lambda: hub.count("validator_errors") == 1)
        await until_heard(sender, [hub], b"after")


async def test_messages_arrive_right_after_a_quick_restart_with_the_same_identity() -> None:
    async with run_node(1) as hub:
        async with run_node(2, bootstrap=(hub.address,)) as first:
            await until_heard(first, [hub], b"first life ")
            for number in range(30):
                await first.transport.publish(b"first life, message %d" % number)
        async with run_node(2, bootstrap=(hub.address,)) as second:
            await until(lambda: peer_id(1) in second.transport.get_peers())
            expected = {b"second life, message %d" % number for number in range(30)}
            for data in sorted(expected):
                await second.transport.publish(data)
            await until(lambda: hub.payloads >= expected)


async def test_the_bootstrap_introduces_and_carries_no_prices() -> None:
    async with (
        run_node(1, is_bootstrap=True) as boot,
        run_node(2, bootstrap=(boot.address,)) as left,
        run_node(3, bootstrap=(boot.address,)) as right,
    ):
        await until_heard(left, [right], b"price")
        assert boot.heard == []
        assert boot.count("announcements") >= 1


async def test_two_networks_on_one_host_do_not_hear_each_other() -> None:
    async with (
        run_star(2) as (hub, ours),
        run_node(3, bootstrap=(hub.address,), network_id=b"\x22" * 32) as theirs,
    ):
        await until(lambda: peer_id(3) in hub.transport.get_peers())
        await theirs.transport.publish(b"theirs")
        await until_heard(ours, [hub], b"ours")
        assert b"theirs" not in hub.payloads
