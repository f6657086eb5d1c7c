"""Rounds and ranks: every second in one round, every member with one rank."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.core.rounds import (
    compute_jitter_ms,
    get_rank_time_ms,
    get_vote_key,
    is_over,
    is_too_early,
    order_proposers,
    order_writers,
)
from gossip_price.core.types import Now
from gossip_price.network.document import Mode
from networks import PAIR, START, make_network

STEADY = settings(derandomize=True, deadline=None, max_examples=150)
NETWORKS = {
    (interval, mode): make_network(6, interval=interval, mode=mode)
    for interval in (1, 15, 60, 600, 86_400)
    for mode in Mode
}
networks = st.sampled_from(list(NETWORKS.values()))
seconds = st.integers(START, START + 30 * 86_400)


@STEADY
@given(networks, seconds)
def test_every_second_lies_in_exactly_one_round(network, second) -> None:  # type: ignore[no-untyped-def]  # drawn
    document = network.document
    start = document.get_round(second)
    assert start <= second < start + document.interval
    assert start % document.interval == 0
    assert document.get_round(start) == start
    assert document.get_round(start + document.interval) == start + document.interval


@STEADY
@given(networks, seconds)
def test_every_member_has_exactly_one_rank(network, second) -> None:  # type: ignore[no-untyped-def]  # drawn
    document = network.document
    start = document.get_round(second)
    order = order_proposers(document, PAIR, start)
    assert sorted(order) == sorted(document.addresses)
    assert order == order_proposers(document, PAIR, start)
    times = [get_rank_time_ms(document, start, rank) for rank in range(len(order))]
    assert times[0] == start * 1000
    if document.mode is Mode.EVERY_NODE:
        assert len(set(times)) == 1
    else:
        assert times == sorted(set(times))


@STEADY
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**40), st.sets(st.integers(0, 255)))
def test_writers_are_a_permutation_that_nobody_joining_disturbs(
    store: bytes, slot: int, numbers: set[int]
) -> None:
    members = [bytes([number]) * 20 for number in sorted(numbers)]
    order = order_writers(store, slot, members)
    assert sorted(order) == members
    assert order == order_writers(store, slot, reversed(members))
    joined = order_writers(store, slot, [*members, b"joining" + bytes(13)])
    assert tuple(member for member in joined if member in members) == order


@STEADY
@given(networks, seconds, st.integers(-90_000_000, 90_000_000))
def test_a_round_is_not_at_once_to_come_and_over(network, second, away_ms) -> None:  # type: ignore[no-untyped-def]  # drawn
    document = network.document
    start = document.get_round(second)
    now = Now(start * 1000 + away_ms, 0)
    early, over = is_too_early(document, start, now), is_over(document, start, now)
    assert not (early and over)
    within = -document.skew * 1000 <= away_ms < (document.interval + document.skew) * 1000
    assert within is not (early or over)


@STEADY
@given(st.binary(min_size=20, max_size=20), seconds, st.integers(0, 5_000))
def test_the_jitter_is_bounded_and_steady(address: bytes, second: int, most: int) -> None:
    jitter = compute_jitter_ms(address, second, most)
    assert 0 <= jitter <= most
    assert jitter == compute_jitter_ms(address, second, most)


def test_a_vote_key_tells_what_may_be_signed_beside_each_other() -> None:
    rounds, every = NETWORKS[15, Mode.ROUNDS].document, NETWORKS[15, Mode.EVERY_NODE].document
    one, two = b"a" * 20, b"b" * 20
    assert get_vote_key(rounds, PAIR, 15, one) == get_vote_key(rounds, PAIR, 15, two)
    assert get_vote_key(every, PAIR, 15, one) != get_vote_key(every, PAIR, 15, two)
    assert get_vote_key(rounds, PAIR, 15, one) != get_vote_key(rounds, PAIR, 30, one)
    assert get_vote_key(rounds, PAIR, 15, one) != get_vote_key(rounds, "BTC-USD", 15, one)
