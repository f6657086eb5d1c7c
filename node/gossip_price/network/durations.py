"""Durations as people write them: `10m`, `30s`, `1h30m`, or plain seconds. Pure."""

from __future__ import annotations

import re
from typing import Final

ALLOWED: Final = "a duration such as 30s, 10m or 1h30m, or whole seconds"
_PATTERN = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


def parse_duration(value: object) -> int:
    """Return `value` in seconds: text as above, or a whole number of seconds.

    Raises ValueError, whose text is what is allowed.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        text = value.strip()
        if _SECONDS.fullmatch(text):
            return int(text)
        match = _PATTERN.fullmatch(text)
        if match and text:
            hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return hours * 3600 + minutes * 60 + seconds
    raise ValueError(ALLOWED)


def format_duration(seconds: int) -> str:
    """Write whole seconds as parse_duration reads them: `1h30m`, `10m`, `0s`."""
    minutes, seconds_left = divmod(seconds, 60)
    hours, minutes_left = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes_left, "m"), (seconds_left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
