"""Wait by the time in which this process ran: one that stood still has not waited."""

from __future__ import annotations

import asyncio
import math
from typing import Final, TypeVar

T = TypeVar("T")

#: So much of a deadline a process loses that stood still (SIGSTOP, a laptop's sleep), however long.
STEP_S: Final = 1.0


async def wait_awake(future: asyncio.Future[T], deadline_s: float, step_s: float = STEP_S) -> T:
    """Return what the future brings; raises what it fails with, TimeoutError after the deadline.

    A clock runs on while a process stands still, and at its end all timers are due at once, before
    another thread has had its turn. So the deadline is cut into steps. The future is cancelled
    where nobody waits for it any more.
    """
    try:
        for _ in range(math.ceil(deadline_s / step_s)):
            done, _ = await asyncio.wait((future,), timeout=step_s)
            if done:
                return future.result()
        raise TimeoutError
    finally:
        future.cancel()
