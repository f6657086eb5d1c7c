"""Turns: so many at once, news first, nobody waits for ever, and none is lost on the way."""

from __future__ import annotations

import asyncio

from gossip_price_operator.turns import Turns


class Line:
    """Networks that stand in line for one turn; each holds it until the test lets it go."""

    def __init__(self, *, count: int = 1, lent_max: int = 1) -> None:
        self.news: set[tuple[str, str]] = set()
        self.turns = Turns(count, lent_max, self.news.__contains__)
        self.order: list[str] = []
        self.go = asyncio.Semaphore(0)
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def stand(self, *names: str) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._hold(name))
        await settle()

    async def _hold(self, name: str) -> None:
        async with self.turns.take(("a", name)):
            self.order.append(name)
            await self.go.acquire()

    async def let_go(self, count: int) -> None:
        for _ in range(count):
            self.go.release()
            await settle()


async def settle() -> None:
    """Let every task come as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_waits_longest_is_next_but_for_who_has_news() -> None:
    line = Line()
    await line.stand("1", "2", "3", "4")
    line.news.add(("a", "4"))
    await line.let_go(4)
    assert line.order == ["1", "4", "2", "3"]


async def test_news_without_end_keeps_nobody_waiting_for_ever() -> None:
    line = Line()
    await line.stand("first", "old", *map(str, range(20)))
    line.news |= {("a", str(number)) for number in range(20)}
    await line.let_go(9)
    assert "old" in line.order


async def test_a_turn_that_is_lent_on_is_taken_back_before_its_holder_goes_on() -> None:
    line = Line()
    answer = asyncio.Event()
    done = []

    async def ask() -> None:
        async with line.turns.take(("a", "asks")) as turn:
            async with turn.lend():
                await answer.wait()
            done.append(list(line.order))

    asking = asyncio.create_task(ask())
    await settle()
    await line.stand("other")
    assert line.order == ["other"]
    answer.set()
    await settle()
    assert not done  # the other one holds the only turn
    await line.let_go(1)
    assert done == [["other"]]
    await asking


async def test_who_comes_back_is_served_before_all_who_have_not_begun() -> None:
    line = Line()
    answer = asyncio.Event()

    async def ask() -> None:
        async with line.turns.take(("a", "asks")) as turn:
            async with turn.lend():
                await answer.wait()
            line.order.append("back")

    asking = asyncio.create_task(ask())
    await settle()
    await line.stand("1", "2", "3")
    line.news |= {("a", "2"), ("a", "3")}
    answer.set()
    await line.let_go(3)
    assert line.order[:2] == ["1", "back"]
    await asking


async def test_no_more_turns_are_lent_than_may_be() -> None:
    line = Line(lent_max=0)

    async def ask() -> None:
        async with line.turns.take(("a", "asks")) as turn, turn.lend():
            await line.go.acquire()

    asking = asyncio.create_task(ask())
    await settle()
    await line.stand("other")
    assert line.order == []
    await line.let_go(1)
    assert line.order == ["other"]
    await line.let_go(1)
    await asking


async def test_who_is_cancelled_at_any_point_takes_no_turn_along() -> None:
    line = Line()

    async def ask() -> None:
        async with line.turns.take(("a", "asks")) as turn, turn.lend():
            await asyncio.Event().wait()

    for steps in range(6):
        holder = asyncio.create_task(ask())
        for _ in range(steps):
            await asyncio.sleep(0)
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    await line.stand("1", "2", "3")
    line.tasks["2"].cancel()
    line.go.release()  # in the same moment in which the next one is cancelled
    await settle()
    assert line.order == ["1", "3"]
    await line.let_go(1)
    await line.stand("4")
    assert line.order == ["1", "3", "4"]
    await line.let_go(1)
