"""Times as people and programs read them: RFC 3339, UTC, with a Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

#: The last millisecond of the year 9999: later ones have no such text.
_MS_MAX: Final = 253_402_300_799_999
#: Section 5.6: a date, a time and a zone, all three.
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def format_ms(unix_ms: int) -> str | None:
    """Write milliseconds since 1970; None for what is beyond the calendar (a peer may say so)."""
    if not 0 <= unix_ms <= _MS_MAX:
        return None
    seconds, milliseconds = divmod(unix_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"


def format_s(unix_s: int) -> str | None:
    """Write seconds since 1970; None as above."""
    if not 0 <= unix_s * 1_000 <= _MS_MAX:
        return None
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%S}Z"


def parse(text: str) -> datetime:
    """Read a time; UTC. Raises ValueError for what is no RFC 3339, or has no zone."""
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no RFC 3339")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar") from error
