"""Who may read and write now: so many at once, and those with news before all others.

What is held in memory and what is asked of the API server grows with the turns, not with the
networks. A turn is lent on while its holder waits for somebody else than the API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

Network = tuple[str, str]
"""Namespace and name."""

_Line = list[tuple[Network, asyncio.Future[None]]]

#: Every so many turns one goes to who has waited longest, whoever has news.
_FAIR_EVERY: Final = 8


class Turns:
    """`count` turns; at most `lent_max` holders wait for others with their turn lent on.

    `has_news` is asked when a turn becomes free: news may have come while one waited.
    """

    def __init__(self, count: int, lent_max: int, has_news: Callable[[Network], bool]) -> None:
        self._free = count
        self._lendable = lent_max
        self._has_news = has_news
        self._waiting: _Line = []
        self._returning: _Line = []
        self._given = 0

    @asynccontextmanager
    async def take(self, network: Network) -> AsyncIterator[Turn]:
        """Wait for a turn, and hold it."""
        turn = Turn(self, network)
        await turn.acquire()
        try:
            yield turn
        finally:
            turn.release()

    async def acquire(self, network: Network, *, is_back: bool = False) -> None:
        """Wait for a turn; who comes back with all that it holds comes first."""
        if self._free:
            self._free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._returning if is_back else self._waiting
        line.append((network, given))
        try:
            await given
        except asyncio.CancelledError:
            if (network, given) in line:
                line.remove((network, given))
            elif not given.cancelled():
                self.release()  # it came in the same moment
            raise

    def release(self) -> None:
        """Give a turn to the next one."""
        self._given += 1
        line = next((line for line in (self._returning, self._waiting) if _drop_gone(line)), None)
        if line is None:
            self._free += 1
            return
        chosen = line[0]
        if self._given % _FAIR_EVERY:
            chosen = next((entry for entry in line if self._has_news(entry[0])), chosen)
        line.remove(chosen)
        chosen[1].set_result(None)

    def may_lend(self) -> bool:
        """Take the right to lend a turn on, if there is one left."""
        if not self._lendable:
            return False
        self._lendable -= 1
        return True

    def end_lending(self) -> None:
        """Give that right back."""
        self._lendable += 1


class Turn:
    """One holder's turn."""

    def __init__(self, turns: Turns, network: Network) -> None:
        self._turns = turns
        self._network = network
        self._is_held = False

    async def acquire(self, *, is_back: bool = False) -> None:
        """Wait for the turn."""
        await self._turns.acquire(self._network, is_back=is_back)
        self._is_held = True

    def release(self) -> None:
        """Give the turn back, if it is held."""
        if self._is_held:
            self._is_held = False
            self._turns.release()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[None]:
        """Let others work meanwhile, unless too many already wait like this."""
        if not self._turns.may_lend():
            yield
            return
        self.release()
        try:
            yield
            await self.acquire(is_back=True)
        finally:
            self._turns.end_lending()


def _drop_gone(line: _Line) -> _Line:
    """Drop who was cancelled; return who is left."""
    line[:] = [entry for entry in line if not entry[1].done()]
    return line
