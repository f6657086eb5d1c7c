"""Nobody honest is ever blamed: the most dangerous mistake would be to cut each other off."""

from __future__ import annotations

import pytest

from gossip_price import crypto
from gossip_price.core.events import NoteKind
from gossip_price.network.document import Mode
from gossip_price.network.epochs import EpochChain
from networks import START, make_network
from world import STORE, World


class Dice:
    """Numbers that look like chance and are the same every time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._thrown = 0

    def throw(self, below: int) -> int:
        self._thrown += 1
        digest = crypto.keccak256(b"%d %d" % (self._seed, self._thrown))
        return int.from_bytes(digest[:8], "big") % below


def find_blame(world: World) -> list[tuple[int, str, str]]:
    return [
        (node.index, author, reason) for node in world.nodes for author, reason in node.penalized
    ]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("seed", range(6))
def test_with_slow_reordered_messages_and_wrong_clocks_nobody_is_blamed(
    seed: int, mode: Mode
) -> None:
    dice = Dice(seed)
    network = make_network(5, mode=mode, seed=str(seed))
    skew_ms = network.document.skew * 1000
    errors = [dice.throw(skew_ms + 1) - skew_ms // 2 for _ in range(5)]
    world = World(network, clock_errors_ms=errors)
    world.latency = lambda sender, receiver: 1 + dice.throw(2_000)
    world.run_rounds(6)
    assert find_blame(world) == []
    assert len({row.report.round for row in world.get_rows()}) >= 4
    for node in world.nodes:
        assert not node.get_notes(NoteKind.EQUIVOCATION)
        assert not node.get_notes(NoteKind.REJECTED)


@pytest.mark.parametrize("seed", range(4))
def test_with_restarts_lost_messages_and_a_flickering_store_nobody_is_blamed(seed: int) -> None:
    dice = Dice(100 + seed)
    network = make_network(5, seed=str(seed))
    world = World(network, clock_errors_ms=[dice.throw(5_000) - 2_500 for _ in range(5)])
    world.latency = lambda sender, receiver: 1 + dice.throw(1_500)
    world.drops = lambda sender, receiver, data: dice.throw(10) == 0
    for moment in range(12):
        world.run_until(START + moment * 10 + dice.throw(10_000) / 1000)
        victim = dice.throw(5)
        match dice.throw(4):
            case 0:
                world.kill(victim)
                world.restart(victim)
            case 1:
                world.kill(victim)
                world.restart(victim, lost_volume=True)
            case 2:
                (world.server.stop if world.table.up else world.server.start)()
            case 3:
                world.nodes[victim].journal.full = not world.nodes[victim].journal.full
    for node in world.nodes:
        node.journal.full = False
    world.server.start()
    world.run_until(START + 240)
    assert find_blame(world) == []
    rounds = [row.report.round for row in world.get_rows()]
    assert len(rounds) == len(set(rounds))
    assert len(rounds) >= 8


def test_a_member_that_has_the_next_epoch_and_one_that_has_not_do_not_blame_each_other() -> None:
    before = make_network(4)
    after = before.follow(start_index=3)
    # The same keys in both: only the document differs.
    assert set(after.signing_secrets) == set(before.signing_secrets)
    both = EpochChain([before.document, after.document])
    world = World(before, chain=both)
    laggards = (2, 3)
    for index in laggards:
        world.chain = EpochChain([before.document])
        world.nodes[index].turns = world.make_turns(world.nodes[index])
    world.run_until(START + 120)
    assert find_blame(world) == []
    reasons = {reason for node in world.nodes for reason in node.get_reasons(NoteKind.IGNORED)}
    assert reasons == {"unknown_epoch", "epoch_not_in_force", "epoch_over"}
    # Two and two: neither side has a quorum of its own after the change, by design.
    assert max(row.report.round for row in world.get_rows()) < after.document.start


def test_databases_of_ones_own_make_nobody_lie() -> None:
    network = make_network(4)
    world = World(network, store_up=False)
    world.table.up = True
    for node in world.nodes:
        world.give_store(node.index, STORE if node.index < 2 else b"T" * 32)
    world.run_rounds(3)
    assert find_blame(world) == []
    assert not any(node.get_notes(NoteKind.IGNORED) for node in world.nodes)


def test_a_version_of_any_length_is_no_malformed_heartbeat() -> None:
    network = make_network(4)
    world = World(network, version="1.0+" + "x" * 300)
    world.run_rounds(2)
    assert find_blame(world) == []
