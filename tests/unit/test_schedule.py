"""The simulator's order of events: by time, and within a millisecond as they were put in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.simulator.schedule import Schedule


def drain(schedule: Schedule[int], until_ms: int) -> list[tuple[int, int]]:
    taken = []
    while found := schedule.take_next(until_ms):
        at_ms, things = found
        taken.append((at_ms, things.popleft()))
    return taken


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=60), st.integers(0, 20))
def test_all_happens_once_by_time_and_then_as_it_was_put_in(times: list[int], until: int) -> None:
    schedule: Schedule[int] = Schedule()
    for number, at_ms in enumerate(times):
        schedule.add(at_ms, number)
    expected = sorted((at_ms, number) for number, at_ms in enumerate(times))
    before = [one for one in expected if one[0] <= until]
    assert drain(schedule, until) == before
    assert drain(schedule, 20) == expected[len(before) :]
    assert schedule.take_next(20) is None


def test_what_is_put_at_the_time_that_is_under_way_still_happens_in_it() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.add(5, 1)
    schedule.add(6, 4)
    taken = schedule.take_next(9)
    assert taken is not None
    at_ms, things = taken
    assert (at_ms, things.popleft()) == (5, 1)
    schedule.add(5, 2)
    assert things.popleft() == 2
    schedule.add(5, 3)
    assert drain(schedule, 9) == [(5, 3), (6, 4)]
