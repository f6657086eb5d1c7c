"""What happens when: by the millisecond, and within one in the order in which it was put in.

A broadcast reaches a hundred nodes within a few milliseconds: things that share one are kept
together, so that only times are sorted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Schedule(Generic[_T]):
    """Things to come; times are milliseconds and never before the one that is under way."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._things: dict[int, deque[_T]] = {}

    def add(self, at_ms: int, thing: _T) -> None:
        """Let this happen then, after all that was put at the same millisecond before."""
        self.add_all(at_ms, (thing,))

    def add_all(self, at_ms: int, things: Iterable[_T]) -> None:
        """Let these happen then, one after the other."""
        before = self._things.get(at_ms)
        if before is None:
            heappush(self._times, at_ms)
            self._things[at_ms] = deque(things)
        else:
            before.extend(things)

    def take_next(self, until_ms: int) -> tuple[int, deque[_T]] | None:
        """Return the next time, if it is not after `until_ms`, and what happens then.

        The things are the caller's to take from the left; what is put at this time before the
        next call goes to their right.
        """
        times = self._times
        while times:
            at_ms = times[0]
            things = self._things[at_ms]
            if things:
                return (at_ms, things) if at_ms <= until_ms else None
            heappop(times)
            del self._things[at_ms]
        return None
