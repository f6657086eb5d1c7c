"""Who is there, seen by whole networks: heartbeats tell it, and each node puts it together."""

from __future__ import annotations

import msgspec
import pytest

from crafted import make_heartbeat, pack
from gossip_price.core import catchup
from gossip_price.core import events as ev
from gossip_price.core.hearing import (
    MemberPresence,
    State,
    compute_state,
    find_deaf,
    find_isolated,
)
from gossip_price.core.testimony import decode_testimony, encode_heard
from gossip_price.core.wire import decode
from networks import PAIR, START, SampleNetwork, make_network
from past import NEXT_DAY, begin_with, get_known, make_past
from world import PRICE, STORE, World


def describe(world: World, index: int) -> tuple[MemberPresence, ...]:
    node = world.nodes[index]
    return node.turns.machine.describe_presence(world.now(node))


def get_states(world: World, index: int) -> list[State]:
    return [compute_state(one) for one in describe(world, index)]


def name(world: World, *indices: int) -> list[bytes]:
    return [world.network.document.addresses[index] for index in indices]


def test_heartbeats_carry_counts_connections_and_what_was_observed() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 25)
    beat = [beat for data in world.nodes[1].published for beat in decode(data).heartbeats][-1]
    words = decode_testimony(beat, network.document)
    assert words.connected == 0b1101
    assert words.heard[1] == 0
    assert all(words.heard[other] >= 4 for other in (0, 2, 3))
    ((pair, round_, price),) = words.observed
    assert (pair, round_, price) == (PAIR, network.round(1), PRICE)


def test_every_node_draws_the_same_picture_of_a_healthy_network() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 40)
    for index in range(4):
        presences = describe(world, index)
        assert [one.member for one in presences] == list(network.document.addresses)
        assert [one.is_me for one in presences] == [other == index for other in range(4)]
        assert get_states(world, index) == [State.ALIVE] * 4
        assert find_isolated(presences) == []
        assert find_deaf(presences) == {}
        for one in presences:
            assert one.version == "test"
            assert one.store == STORE
            assert one.connected == set(network.document.addresses) - {one.member}
            assert [seen.pair for seen in one.observed] == [PAIR]


def test_a_stopped_member_is_late_then_silent_and_all_others_say_so() -> None:
    world = World(make_network(4))
    world.run_until(START + 40)
    world.kill(3)
    seen = []
    for second in range(40, 70):
        world.run_until(START + second)
        state = get_states(world, 0)[3]
        if state not in seen:
            seen.append(state)
    assert seen == [State.ALIVE, State.LATE, State.SILENT]
    for index in range(3):
        assert find_isolated(describe(world, index)) == name(world, 3)
        assert find_deaf(describe(world, index)) == {}
    world.begin(3)
    world.run_until(START + 100)
    assert get_states(world, 0) == [State.ALIVE] * 4
    assert find_isolated(describe(world, 0)) == []


def test_while_a_member_goes_and_comes_back_nobody_else_looks_deaf() -> None:
    world = World(make_network(4))
    world.run_until(START + 40)
    for begin_s, end_s in ((40, 80), (80, 120)):
        (world.kill if begin_s == 40 else world.begin)(3)
        for second in range(begin_s, end_s):
            world.run_until(START + second)
            for index in range(3 if begin_s == 40 else 4):
                assert find_deaf(describe(world, index)) == {}
                assert set(find_isolated(describe(world, index))) <= set(name(world, 3))


def test_one_that_hears_less_than_the_others_is_deaf_and_nobody_is_isolated() -> None:
    world = World(make_network(4))
    world.drops = lambda sender, receiver, data: (sender, receiver) == (1, 3)
    world.run_until(START + 120)
    for index in range(4):
        assert find_deaf(describe(world, index)) == {name(world, 3)[0]: name(world, 1)}
        assert find_isolated(describe(world, index)) == []


def test_a_member_that_is_cut_off_sees_that_it_hears_nobody() -> None:
    world = World(make_network(4))
    world.drops = lambda sender, receiver, data: 2 in (sender, receiver)
    world.run_until(START + 60)
    assert find_deaf(describe(world, 2)) == {name(world, 2)[0]: name(world, 0, 1, 3)}
    assert find_isolated(describe(world, 2)) == []  # it alone cannot say who it is
    assert find_isolated(describe(world, 0)) == name(world, 2)


def test_who_was_never_heard_is_told_from_who_fell_silent() -> None:
    world = World(make_network(4), alive=[0, 1, 2])
    world.run_until(START + 60)
    assert get_states(world, 0) == [State.ALIVE] * 3 + [State.NEVER]
    assert describe(world, 0)[3].received is None
    assert find_isolated(describe(world, 0)) == name(world, 3)


@pytest.mark.parametrize(("interval", "minutes"), [(15, 6), (600, 31)])
def test_quiet_is_no_silence(interval: int, minutes: int) -> None:
    world = World(make_network(4, interval=interval))
    for minute in range(1, minutes):
        world.run_until(START + 60 * minute)
        for index in range(4):
            assert get_states(world, index) == [State.ALIVE] * 4
            assert find_isolated(describe(world, index)) == []


def test_a_database_that_comes_and_goes_makes_us_beat_but_nobody_late() -> None:
    world = World(make_network(4, interval=600))
    world.run_until(START + 300)
    for second in range(300, 400, 3):
        world.give(0, ev.StoreDown("flapping"))
        world.give_store(0, STORE)
        world.run_until(START + second)
        assert get_states(world, 0) == [State.ALIVE] * 4


def test_after_a_restart_with_unsettled_prices_nobody_is_held_to_be_silent() -> None:
    world = World(make_network(4, interval=600))
    world.run_until(START + 5)
    world.restart(0)
    for second in range(5, 180):
        world.run_until(START + second)
        assert set(get_states(world, 0)) <= {State.ALIVE, State.LATE, State.NEVER}


def test_after_a_restart_amid_prices_that_one_never_signs_beats_count_as_before() -> None:
    """There is always a report that awaits signers, and an earlier life left the first."""
    world = World(make_network(5), alive=[0, 1, 2, 3])
    world.run_until(START + 40)
    world.restart(0)
    world.run_until(START + 120)
    world.kill(3)
    world.run_until(START + 150)
    assert get_states(world, 0)[3] is State.SILENT


def test_while_one_catches_up_with_what_all_have_signed_nobody_is_held_to_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They have no reason to beat often: nothing is under way."""
    monkeypatch.setattr(catchup, "ASK_IDS_MAX", 4)
    network = make_network(4, interval=600)
    past = list(make_past(network, range(80), (0, 1, 2, 3)).values())
    world = begin_with(network, {0: past, 1: past, 2: past, 3: []})
    world.latency = lambda sender, receiver: 2_000 if 3 in (sender, receiver) else 10
    world.run_until(NEXT_DAY + 60)
    known = set()
    for second in range(60, 300, 5):
        world.run_until(NEXT_DAY + second)
        assert State.SILENT not in get_states(world, 3)
        known.add(len(get_known(world, 3)))
    assert max(known) >= 80
    assert len(known) >= 12  # it takes longer than it takes to fall silent


def test_a_process_that_was_stopped_for_long_blames_nobody() -> None:
    world = World(make_network(4))
    world.run_until(START + 40)
    world.stop(0)
    world.run_until(START + 400)
    world.cont(0)
    assert set(get_states(world, 0)) <= {State.ALIVE, State.LATE}
    assert find_isolated(describe(world, 0)) == []


def test_a_listener_has_the_picture_too_and_is_not_in_it() -> None:
    world = World(make_network(4))
    listener = world.add_listener(b"l" * 32)
    world.run_until(START + 40)
    presences = describe(world, listener.index)
    assert [one.is_me for one in presences] == [False] * 4
    assert get_states(world, listener.index) == [State.ALIVE] * 4
    assert find_isolated(presences) == []


def test_every_message_of_a_member_counts_and_nobody_elses() -> None:
    network = make_network(4)
    world = World(network, alive=[0])
    world.run_until(START + 1)
    for data in (b"noise", pack(), msgspec.msgpack.encode([9, "another version"])):
        world.give(0, ev.Received(network.document.members[1].peer_id, data))
        world.give(0, ev.Received("a stranger", data))
    world.run_until(START + 2)
    assert describe(world, 0)[0].heard == dict(
        zip(network.document.addresses, (0, 3, 0, 0), strict=True)
    )


def test_counts_that_stand_still_over_a_members_restart_are_a_new_count() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 2, 3])
    world.run_until(START + 40)

    def say(boot: int, sequence: int, counts: list[int], clock_ms: int = 0) -> None:
        word = make_heartbeat(
            network, 1, boot=boot, sequence=sequence, heard=encode_heard(counts), clock_ms=clock_ms
        )
        world.send(1, pack(heartbeats=[word]))
        world.run_until_ms(world.true_ms + 100)

    say(1, 1, [5, 0, 5, 5])
    world.run_until(START + 70)
    say(1, 2, [5, 0, 9, 9])
    unheard = describe(world, 0)[1].unheard
    first, _, third, fourth = network.document.addresses
    assert unheard[first] > 3
    assert unheard[third] == unheard[fourth] == 0
    say(2, 1, [5, 0, 9, 9])
    assert set(describe(world, 0)[1].unheard.values()) == {0}
    # Nothing at all in a life of an hour needs no watching.
    say(3, 1, [0, 0, 9, 9], clock_ms=3_600_000)
    assert describe(world, 0)[1].unheard[first] > 3


def test_what_a_member_says_is_read_by_the_roster_of_its_own_epoch() -> None:
    network = make_network(4)
    following: SampleNetwork = network.follow(start_index=4, members=5)
    world = World(network)
    world.run_until(START + 40)
    chain = type(world.chain)([network.document, following.document])
    world.chain = chain
    for node in world.nodes:
        world.give(node.index, ev.NetworkChanged(chain))
    world.run_until(START + 100)
    presences = describe(world, 0)
    assert [one.member for one in presences] == list(following.document.addresses)
    both = set(network.document.addresses) & set(following.document.addresses)
    assert {one.member for one in presences if one.epoch == following.document.hash} == both
    for one in presences:
        if one.member in both:
            assert one.connected == both - {one.member}
