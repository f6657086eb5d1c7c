"""The simulated ways: many at once are what each is by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gossip_price.simulator.dice import Dice
from gossip_price.simulator.links import PENALTY_MS, Links

NOW_MS = 1_000_000
OTHERS = range(1, 9)


def make_links(trouble: Callable[[Links], None]) -> Links:
    links = Links(Dice(7, "links"), latency_ms=20, jitter_ms=30)
    trouble(links)
    return links


def leave_be(links: Links) -> None:
    pass


def slow_down(links: Links) -> None:
    links.extra_ms = 400


def lose(links: Links) -> None:
    links.loss_permille = 300


def copy(links: Links) -> None:
    links.copies_permille = 300


def break_some(links: Links) -> None:
    links.break_way(0, 3)
    links.break_way(4, 0)


def refuse_some(links: Links) -> None:
    links.refuse(2, 0, NOW_MS)
    links.refuse(0, 5, NOW_MS)


TROUBLES = (leave_be, slow_down, lose, copy, break_some, refuse_some)


def spread(links: Links, true_ms: int = NOW_MS) -> list[tuple[int, int]]:
    arrived = links.spread(0, OTHERS, true_ms, b"")
    assert all(list(ones) == sorted(ones) for ones in arrived.values())
    return sorted((one, delay_ms) for delay_ms, ones in arrived.items() for one in ones)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_a_broadcast_is_drawn_as_its_ways_are_one_by_one(trouble: Callable[[Links], None]) -> None:
    at_once, one_by_one = make_links(trouble), make_links(trouble)
    for _ in range(20):
        assert spread(at_once) == sorted(
            (receiver, delay_ms)
            for receiver in OTHERS
            for delay_ms in one_by_one.route(0, receiver, NOW_MS)
        )


@pytest.mark.parametrize(
    ("trouble", "lost", "slowest_ms", "copies"),
    [
        (leave_be, set(), 50, 8),
        (slow_down, set(), 450, 8),
        (break_some, {3}, 50, 7),
        (refuse_some, {2, 5}, 50, 6),
    ],
)
def test_who_gets_a_broadcast_and_how_soon(
    trouble: Callable[[Links], None], lost: set[int], slowest_ms: int, copies: int
) -> None:
    ways = spread(make_links(trouble))
    assert {receiver for receiver, _ in ways} == set(OTHERS) - lost
    assert len(ways) == copies
    assert all(20 <= delay_ms <= slowest_ms for _, delay_ms in ways)


def test_of_many_some_are_lost_and_some_come_twice() -> None:
    lossy, copying = make_links(lose), make_links(copy)
    assert 500 < sum(len(spread(lossy)) for _ in range(100)) < 620
    assert 980 < sum(len(spread(copying)) for _ in range(100)) < 1_100


def test_a_way_is_mended_when_nothing_breaks_it_any_more() -> None:
    links = make_links(break_some)
    links.break_way(0, 3)
    links.mend_way(0, 3)
    assert len(spread(links)) == 7
    links.mend_way(0, 3)
    links.mend_way(4, 0)
    assert len(spread(links)) == 8
    assert not links.broken


def test_who_was_refused_is_heard_again() -> None:
    links = make_links(refuse_some)
    assert len(spread(links, NOW_MS + PENALTY_MS - 1)) == 6
    assert len(spread(links, NOW_MS + PENALTY_MS)) == 8
