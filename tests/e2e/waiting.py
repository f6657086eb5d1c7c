"""Waiting for something that happens, with a deadline; nothing sleeps for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    what: str, ask: Callable[[], T | None], deadline_s: float = 120, every_s: float = 1.0
) -> T:
    """Return the first answer that is true; fail at the deadline with the last one."""
    ends = time.monotonic() + deadline_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}; last: {answer!r}")
        time.sleep(every_s)
