"""When heartbeats are due, as prices come and settle."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gossip_price.core.limits import HEARTBEAT_LOUD_MS, HEARTBEAT_MISSED, HEARTBEAT_MS
from gossip_price.core.presence import compute_heartbeat_interval_ms, compute_quiet_interval_ms
from gossip_price.core.pulse import Pulse

HOUR_MS = 3_600_000
STEP_MS = 100


def list_beats(
    members: int, every_ms: int, settles_ms: int, me: bytes = b"member"
) -> list[tuple[int, bool]]:
    """Return an hour's heartbeats, and which others would not have sent as well.

    A price begins `every_ms` and has settled, or all have signed it, `settles_ms` later.
    """
    pulse = Pulse(0)
    beats: list[tuple[int, bool]] = []
    for now_ms in range(0, HOUR_MS, STEP_MS):
        if now_ms % every_ms == 0:
            pulse.process_price(me, len(beats), members, now_ms)
        is_all_signed = now_ms % every_ms >= settles_ms
        if now_ms >= pulse.get_deadline_ms(is_all_signed=is_all_signed):
            beats.append((now_ms, pulse.is_quiet(is_all_signed=is_all_signed)))
            pulse.process_beat(members, now_ms)
    return beats


@pytest.mark.parametrize("settles_ms", [500, 2_000, 4_000])
def test_a_price_that_settles_at_once_leaves_nobody_silent(settles_ms: int) -> None:
    """With rounds as short as the interval, a heartbeat put off at every price never came."""
    beats = [at_ms for at_ms, _ in list_beats(4, HEARTBEAT_MS, settles_ms)]
    gaps = [after - before for before, after in pairwise(beats)]
    assert max(gaps) <= (HEARTBEAT_MISSED - 1) * HEARTBEAT_MS


@pytest.mark.parametrize("members", [4, 100, 256])
def test_each_price_has_one_heartbeat_at_least_that_all_count(members: int) -> None:
    beats = list_beats(members, 600_000, 30_000)
    interval_ms = compute_heartbeat_interval_ms(members)
    for begins_ms in range(600_000, HOUR_MS, 600_000):
        due = [quiet for at_ms, quiet in beats if begins_ms < at_ms <= begins_ms + 2 * interval_ms]
        assert due
        assert not due[0]


def test_they_are_seldom_between_prices() -> None:
    quiet_ms = compute_quiet_interval_ms(4)
    beats = [at_ms for at_ms, _ in list_beats(4, 600_000, 30_000)]
    for begins_ms in range(600_000, HOUR_MS, 600_000):
        calm_ms = (begins_ms + 30_000 + HEARTBEAT_MS, begins_ms + 600_000)
        calm = [at_ms for at_ms in beats if calm_ms[0] <= at_ms < calm_ms[1]]
        assert len(calm) <= (calm_ms[1] - calm_ms[0]) // quiet_ms + 1


#: A moment at which the last heartbeat is some time ago, and the next far off.
QUIET_MS = HEARTBEAT_LOUD_MS + HEARTBEAT_MS + 1


def make_quiet() -> Pulse:
    """Return a pulse that beats seldom at QUIET_MS."""
    pulse = Pulse(0)
    pulse.process_beat(4, HEARTBEAT_LOUD_MS)
    return pulse


def test_news_is_told_at_once_and_again_soon() -> None:
    pulse = make_quiet()
    assert pulse.get_deadline_ms(is_all_signed=True) > QUIET_MS
    pulse.hurry(QUIET_MS)
    assert pulse.get_deadline_ms(is_all_signed=True) == QUIET_MS
    pulse.process_beat(4, QUIET_MS)
    assert pulse.get_deadline_ms(is_all_signed=True) == QUIET_MS + HEARTBEAT_MS


def test_who_lacks_what_all_have_signed_is_told_within_an_interval_and_once() -> None:
    """Others need not do so: nobody is late for it."""
    pulse = make_quiet()
    pulse.process_lack(b"member", 1, 4, QUIET_MS)
    due_ms = pulse.get_deadline_ms(is_all_signed=True)
    assert QUIET_MS < due_ms <= QUIET_MS + HEARTBEAT_MS
    assert pulse.is_quiet(is_all_signed=True)
    pulse.process_beat(4, due_ms)
    assert pulse.get_deadline_ms(is_all_signed=True) == due_ms + compute_quiet_interval_ms(4)


def test_whoever_else_lacks_it_does_not_put_that_heartbeat_off() -> None:
    pulse = make_quiet()
    pulse.process_lack(b"member", 1, 4, QUIET_MS)
    due_ms = pulse.get_deadline_ms(is_all_signed=True)
    for at_ms in range(QUIET_MS, due_ms, STEP_MS):
        pulse.process_lack(b"member", 1, 4, at_ms)
        assert pulse.get_deadline_ms(is_all_signed=True) == due_ms
