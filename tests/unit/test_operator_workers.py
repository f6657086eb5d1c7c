"""When a network is looked at: once for many marks, after a failure, and only while active."""

from __future__ import annotations

import asyncio

import pytest

from gossip_price_operator.applying import Memory
from gossip_price_operator.kube import KubeError
from gossip_price_operator.reconcile import Outcome
from gossip_price_operator.turns import Turn
from gossip_price_operator.workers import LOOK_DEADLINE_S, TURNS, Pace, Workers

PACE = Pace(settled_s=3_600, moving_s=3_600)
AT_REST = Outcome(exists=True, is_settled=True)


class Looks:
    """Counts looks; each waits until it is let go, and ends as the test says."""

    def __init__(self, *outcomes: Outcome | KubeError) -> None:
        self.outcomes = list(outcomes)
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)

    async def look(self, _namespace: str, name: str, _memory: Memory, _turn: Turn) -> Outcome:
        self.begun.put_nowait(name)
        await self.go.acquire()
        outcome = self.outcomes.pop(0) if self.outcomes else AT_REST
        if isinstance(outcome, KubeError):
            raise outcome
        return outcome

    async def wait_begun(self) -> str:
        async with asyncio.timeout(10):
            return await self.begun.get()


async def test_marks_during_a_look_are_one_more_look() -> None:
    looks = Looks()
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    workers.start()
    workers.mark("a", "eth")
    await looks.wait_begun()
    for _ in range(100):
        workers.mark("a", "eth")
    looks.go.release()
    await looks.wait_begun()
    looks.go.release()
    await asyncio.sleep(0)
    assert looks.begun.empty()
    await workers.stop()


async def test_a_passive_operator_looks_at_nothing_and_at_everything_once_active() -> None:
    looks = Looks()
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    for name in ("eth", "btc"):
        workers.mark("a", name)
    await asyncio.sleep(0)
    assert looks.begun.empty()
    workers.start()
    assert {await looks.wait_begun(), await looks.wait_begun()} == {"eth", "btc"}
    await workers.stop()


async def test_a_failed_look_is_tried_again() -> None:
    looks = Looks(KubeError("get", 500, "the server's trouble"))
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    workers.start()
    workers.mark("a", "eth")
    await looks.wait_begun()
    looks.go.release()
    assert await looks.wait_begun() == "eth"
    await workers.stop()


async def test_a_network_that_is_gone_is_forgotten_and_may_come_back() -> None:
    looks = Looks(Outcome(exists=False))
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    workers.start()
    workers.mark("a", "eth")
    await looks.wait_begun()
    looks.go.release()
    for _ in range(5):
        await asyncio.sleep(0)
    workers.mark("a", "eth")
    assert await looks.wait_begun() == "eth"
    await workers.stop()


async def test_a_look_that_does_not_end_is_no_progress() -> None:
    looks = Looks()
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    workers.start()
    workers.mark("a", "eth")
    await looks.wait_begun()
    now_s = asyncio.get_running_loop().time()
    assert workers.find_stuck(now_s + LOOK_DEADLINE_S) is None
    assert "a/eth" in (workers.find_stuck(now_s + 3 * LOOK_DEADLINE_S) or "")
    await workers.stop()
    assert workers.find_stuck(now_s + 3 * LOOK_DEADLINE_S) is None


async def test_what_has_news_is_looked_at_before_what_is_only_seen_for_the_first_time() -> None:
    looks = Looks()
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    workers.start()
    known = [str(number) for number in range(TURNS + 5)]
    for name in known:
        workers.mark("a", name, is_news=False)
    assert [await looks.wait_begun() for _ in range(TURNS)] == known[:TURNS]
    workers.mark("a", known[-1])  # waits already, and now something happened
    looks.go.release()
    assert await looks.wait_begun() == known[-1]
    looks.go.release()
    assert await looks.wait_begun() == known[TURNS]
    await workers.stop()


async def test_who_is_active_again_begins_with_what_it_has_not_seen_for_longest() -> None:
    looks = Looks()
    workers = Workers(looks.look, PACE, dice=lambda: 0)
    known = [str(number) for number in range(2 * TURNS)]
    for name in known:
        workers.mark("a", name, is_news=False)
    workers.start()
    for _ in range(TURNS):
        await looks.wait_begun()
        looks.go.release()
    await looks.wait_begun()  # one of the second half has begun, and is not looked at to the end
    await workers.stop()
    looks.begun = asyncio.Queue()
    workers.start()
    assert [await looks.wait_begun() for _ in range(TURNS)] == known[TURNS:]
    await workers.stop()


def test_what_is_on_its_way_and_does_not_move_is_looked_at_ever_less_often() -> None:
    workers = Workers(Looks().look, Pace(settled_s=60, moving_s=5), dice=lambda: 0)
    moving = Outcome(exists=True, is_settled=False)
    pauses_s = [workers._compute_pause(moving, unmoved) for unmoved in range(50)]
    assert pauses_s[:3] == [5, 7.5, 11.25]
    assert pauses_s[-1] == 60
    assert workers._compute_pause(Outcome(exists=True, recheck_s=3), 50) == 3


@pytest.mark.parametrize(("failures", "expected_s"), [(1, 0.5), (4, 4.0), (30, 60.0)])
def test_the_backoff_grows_and_ends(failures: int, expected_s: float) -> None:
    workers = Workers(Looks().look, PACE, dice=lambda: 0)
    error = KubeError("get", 500, "the server's trouble")
    assert workers._compute_backoff(failures, error) == expected_s


def test_the_servers_own_wish_is_heeded() -> None:
    workers = Workers(Looks().look, PACE, dice=lambda: 0)
    assert workers._compute_backoff(1, KubeError("get", 429, "too many", retry_s=7)) == 7
