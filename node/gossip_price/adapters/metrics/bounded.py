"""Labels that cannot grow: what a stranger chooses ends up as "other"."""

from __future__ import annotations

import re
from typing import Final

OTHER: Final = "other"


class Bounded:
    """Takes the first `limit` well-formed values of a label as they are, any other as "other"."""

    def __init__(self, limit: int, pattern: str) -> None:
        self._limit = limit
        self._pattern = re.compile(pattern)
        self._seen: set[str] = set()

    def take(self, value: str) -> str:
        """Return the value as a label may have it."""
        if value not in self._seen:
            if len(self._seen) >= self._limit or not self._pattern.fullmatch(value):
                return OTHER
            self._seen.add(value)
        return value
