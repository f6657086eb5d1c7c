"""What stands beside a report for people to read at once: written, and held to what was signed.

One place for both, so that whatever a node says there can be checked by whoever reads it. The live
page does the same (`static/verify.js`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from gossip_price.adapters import rfc3339
from gossip_price.core.proof import UnprovenError
from gossip_price.core.types import Report

_GIVEN_MAX: Final = 80


def format_shown(report: Report) -> dict[str, str | None]:
    """Return the fields of `core.price.SHOWN`; a time beyond the calendar is None."""
    return {
        "pair": report.pair,
        "price": format_decimal(report.price, report.decimals),
        "time": rfc3339.format_s(report.round),
        "observedAt": rfc3339.format_s(report.observed_at),
    }


def check_shown(shown: Mapping[str, Any], report: Report) -> None:
    """Check that each field that stands there says what was signed. Raises UnprovenError.

    Texts by the letter, times by the moment that they name.
    """
    for field, signed in format_shown(report).items():
        read = _READERS.get(field, _read_text)
        if field in shown and read(shown[field]) != read(signed):
            given = repr(shown[field])[:_GIVEN_MAX]
            raise UnprovenError("column_mismatch", f"{field} is {given}, signed: {signed!r}")


def format_decimal(price: int, decimals: int) -> str:
    """Write an integer of 10^-decimals as a decimal, all digits kept: (300110, 2) is 3001.10."""
    return f"{Decimal(price).scaleb(-decimals):f}"


def _read_text(value: Any) -> Any:
    return value


def _read_time(value: Any) -> Any:
    """Return the moment, or the value itself if it names none."""
    try:
        return rfc3339.parse(value)
    except (TypeError, ValueError):
        return value


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "time": _read_time,
    "observedAt": _read_time,
}
