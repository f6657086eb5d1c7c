"""Trees by day: the same cut at all nodes, whole days pruned, roots that stand still in peace."""

from __future__ import annotations

import pytest

from gossip_price.core import forest as module
from gossip_price.core.forest import Forest, Root, Roots, compute_cut, decode_roots, encode_roots
from gossip_price.core.limits import FOREST_DAYS, FOREST_SLOT_S, JOURNAL_AGE_S
from gossip_price.core.wire import ROOTS_BYTES_MAX, WireError
from gossip_price.crypto import keccak256
from gossip_price.network.document import DAY_S
from networks import START, make_network

TODAY = START // DAY_S


def make_id(number: int) -> bytes:
    return keccak256(b"%d" % number)


def grow(rounds: range, cut: int) -> Forest:
    forest = Forest()
    forest.close(cut, cut // DAY_S)
    for round_ in rounds:
        forest.add(make_id(round_), round_, 7)
    return forest


@pytest.mark.parametrize("interval", [5, 15, 600, 86_400])
def test_a_round_is_closed_only_when_nobody_settles_it_any_more(interval: int) -> None:
    document = make_network(4, interval=interval).document
    for unix_s in range(START + 100_000, START + 100_900, 7):
        last_closed = compute_cut(document, unix_s) - 1
        settled_s = last_closed + interval + document.skew + document.settle_cap
        assert settled_s < unix_s
        assert compute_cut(document, unix_s) % FOREST_SLOT_S == 0


def test_clocks_that_differ_by_the_skew_agree_nearly_always() -> None:
    document = make_network(4).document
    times = range(START, START + 3_600)
    differ = sum(
        compute_cut(document, t) != compute_cut(document, t + document.skew) for t in times
    )
    assert differ * 50 < len(times)


def test_roots_are_the_same_whether_a_round_came_before_or_after_it_was_closed() -> None:
    rounds = range(START, START + 3_000, 15)
    before = Forest()
    for round_ in rounds:
        before.add(make_id(round_), round_, 3)
        before.add(make_id(round_), round_, 4)
    assert decode_roots(before.encode_roots()).days == {}
    before.close(START + 1_500, TODAY)
    after = grow(rounds, START + 1_500)
    assert before.encode_roots() == after.encode_roots()
    roots = decode_roots(after.encode_roots())
    assert roots.cut == START + 1_500
    assert roots.days[TODAY].signatures == 3 * 100
    assert len(before) == len(after) == 200


def test_what_is_not_closed_is_known_all_the_same() -> None:
    forest = grow(range(START, START + 30, 15), START + 15)
    assert forest.get_bits(make_id(START)) == forest.get_bits(make_id(START + 15)) == 7
    assert forest.get_bits(make_id(1)) == 0


def test_a_late_signature_changes_the_root_of_its_day_alone() -> None:
    forest = grow(range(START - DAY_S, START + 3_000, 300), START + 3_000)
    before = decode_roots(forest.encode_roots())
    forest.add(make_id(START - DAY_S), START - DAY_S, 8)
    after = decode_roots(forest.encode_roots())
    assert after.days[TODAY] == before.days[TODAY]
    assert after.days[TODAY - 1].hash != before.days[TODAY - 1].hash
    assert after.days[TODAY - 1].signatures == before.days[TODAY - 1].signatures + 1


def test_whole_days_are_pruned_and_everything_that_is_named_is_in_the_journal() -> None:
    forest = grow(range(START - 9 * DAY_S, START, 3_600), START - 3_600)
    for hour in range(30):
        now_s = START + hour * 3_600
        forest.close(now_s - 3_600, now_s // DAY_S)
        days = decode_roots(forest.encode_roots()).days
        assert len(days) <= FOREST_DAYS
        assert min(days) * DAY_S >= now_s - JOURNAL_AGE_S
    forest.add(make_id(1), START - 9 * DAY_S, 7)
    assert forest.get_bits(make_id(1)) == 0


def test_no_more_ids_than_allowed_are_kept_and_the_newest_days_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FOREST_IDS_MAX", 100)
    forest = Forest()
    for round_ in range(START - 3 * DAY_S, START, 3_600):
        forest.add(make_id(round_), round_, 7)
        forest.close(round_ - 7_200, round_ // DAY_S)
        assert len(forest) <= 100
    for number in range(1_000):
        forest.add(make_id(number), START - 1, 7)
        assert len(forest) <= 100
    assert set(decode_roots(forest.encode_roots()).days) <= {TODAY - 2, TODAY - 1}


def test_a_clock_that_was_a_year_ahead_for_a_while_does_not_end_catching_up() -> None:
    rounds = range(START - DAY_S, START + 300, 300)
    forest = grow(rounds, START)
    forest.close(START + 365 * DAY_S, TODAY + 365)
    forest.close(START + 300, TODAY)
    for round_ in rounds:
        forest.add(make_id(round_), round_, 7)
    assert forest.cut == START + 300
    assert forest.encode_roots() == grow(rounds, START + 300).encode_roots()


def test_roots_are_cached_until_something_changes() -> None:
    forest = grow(range(START, START + 900, 15), START + 900)
    assert forest.encode_roots() is forest.encode_roots()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        bytes(8 + 39),
        bytes(8 + 40) + bytes(40),
        encode_roots(Roots(1, dict.fromkeys(range(FOREST_DAYS + 1), Root(1, bytes(32))))),
    ],
    ids=["cut", "cut day", "the same day twice", "too many days"],
)
def test_roots_that_are_none_are_told_so(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_roots(data)


def test_the_most_roots_there_may_be_fit_into_a_heartbeat() -> None:
    roots = Roots(START, dict.fromkeys(range(FOREST_DAYS), Root(2**40, bytes(32))))
    data = encode_roots(roots)
    assert len(data) == ROOTS_BYTES_MAX
    assert decode_roots(data).days.keys() == roots.days.keys()
    assert decode_roots(b"") == Roots(0, {})
