"""Messages arrive, whole, once, and under their author's name."""

from __future__ import annotations

from p2p_network import peer_id, run_star, until, until_heard


async def test_a_burst_of_300_messages_arrives_complete_and_once() -> None:
    async with run_star(2) as (sender, receiver):
        await until_heard(sender, [receiver], b"path")
        before = len(receiver.heard)
        burst = [b"burst%d" % number for number in range(300)]
        for data in burst:
            await sender.transport.publish(data)
        await until(lambda: receiver.payloads >= set(burst))
        assert [data for _, data in receiver.heard[before:]].count(b"burst7") == 1
        assert {author for author, _ in receiver.heard} == {peer_id(1)}
