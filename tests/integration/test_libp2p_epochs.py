"""A removed member's connection is cut by the epochs and the time, a newcomer's let in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gossip_price.adapters.network_file import NetworkWatch, write_network
from gossip_price.core.types import Now
from gossip_price.network.document import Document, Member, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.network.planner import make_next
from networks import make_network
from p2p_network import peer_id, run_node, run_star, until, until_heard


class SetClock:
    def __init__(self, wall_s: int) -> None:
        self.wall_s = wall_s

    def now(self) -> Now:
        return Now(self.wall_s * 1000, 0)


def make_document(numbers: range) -> Document:
    """Return a first epoch whose members are test nodes of these numbers."""
    network = make_network(len(numbers))
    members = zip(network.document.members, numbers, strict=True)
    named = tuple(Member(member.address, peer_id(number)) for member, number in members)
    return msgspec.structs.replace(network.document, members=named)


async def test_a_removed_member_is_cut_when_its_last_rounds_have_settled(tmp_path: Path) -> None:
    five = make_document(range(1, 6))
    start = five.start
    four = make_next(
        five,
        msgspec.structs.replace(five, members=five.members[:4], minimum_signers=3),
        now_s=start,
    )
    path = tmp_path / "network.json"
    clock = SetClock(start)
    before = NetworkFile((five,))
    async with run_star(5) as (hub, *others):
        leaver, *staying = reversed(others)
        watch = NetworkWatch(
            path,
            before,
            EpochChain(before.epochs),
            clock=clock,
            take=lambda chain: None,
            admit=hub.transport.admit,
        )
        write_network(path, NetworkFile((five, four)))
        watch.look()
        clock.wall_s = four.start + five.skew + five.settle - 1
        watch.look()
        await until_heard(leaver, [hub], b"still heard")
        clock.wall_s += 1
        watch.look()
        await until(lambda: peer_id(5) not in hub.transport.get_peers())
        await until(lambda: hub.count("refused_peers") >= 1)
        assert {peer_id(2), peer_id(3), peer_id(4)} <= hub.transport.get_peers()
        await until_heard(staying[0], [hub], b"go on")


async def test_a_member_of_an_announced_epoch_is_let_in_before_it_starts(tmp_path: Path) -> None:
    four = make_document(range(1, 5))
    wanted = make_document(range(1, 6))
    members = msgspec.structs.replace(four, members=wanted.members, minimum_signers=4)
    five = make_next(four, members, now_s=four.start)
    path = tmp_path / "network.json"
    allowed = frozenset(member.peer_id for member in four.members)
    async with run_node(1, allowed=allowed) as hub:
        watch = NetworkWatch(
            path,
            NetworkFile((four,)),
            EpochChain([four]),
            clock=SetClock(four.start),
            take=lambda chain: None,
            admit=hub.transport.admit,
        )
        async with run_node(5, bootstrap=(hub.address,)) as newcomer:
            await until(lambda: hub.count("refused_peers") >= 1)
            write_network(path, NetworkFile((four, five)))
            watch.look()
            await until_heard(newcomer, [hub], b"here")
