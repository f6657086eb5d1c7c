"""Read a price out of a source's JSON answer. Pure: bytes in, `Decimal` out, or a labelled reason.

Numbers stay text from the wire to `Decimal`; a float never comes into being. Knows nothing of
HTTP, clocks or how many other sources there are.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Final, NamedTuple

from gossip_price.network.sources import ONLY, Request

#: 18 digits before the point are above every price the protocol can carry (2^53), and Coinbase
#: writes up to about 20 after it; more is not a price that somebody means.
_PRICE = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,20})?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_EXPONENT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_TIME_TEXT_MAX: Final = 40
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

#: Wide enough that no price or median of prices is ever rounded by the arithmetic itself.
ARITHMETIC: Final = Context(prec=60)


class WrongAnswerError(Exception):
    """This answer gives no price. `reason` is a metric's label, `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Quote(NamedTuple):
    """What a source says: `price` in whole units of the quote currency, `time_ms` its own time."""

    price: Decimal
    time_ms: int | None


class _Number(str):
    """A JSON number as it was written, told apart from a JSON string."""

    __slots__ = ()


def read_quote(body: bytes, request: Request, time_unit: str) -> Quote:
    """Return the price, and the source's own time, that `body` holds where `request` points.

    Raises WrongAnswerError; a price returned is finite, positive and free of exponents.
    """
    try:
        # Constants (NaN, Infinity) are no JSON, yet some servers write them: only an error
        # where the price should be, and there one with its own name.
        answer = json.loads(
            body.decode(), parse_float=_Number, parse_int=_Number, parse_constant=_Number
        )
    except (ValueError, RecursionError) as error:
        raise WrongAnswerError("invalid_json", f"{type(error).__name__} in {_show(body)}") from None
    for path, expected in request.echoes:
        found = _follow(answer, path)
        if found != expected:
            raise WrongAnswerError("wrong_pair", f"{_name(path)} is {_show(found)}, not {expected}")
    price = _read_price(_follow(answer, request.path))
    time_ms = None
    if request.time_path:
        time_ms = _read_time(_follow(answer, request.time_path), time_unit)
    return Quote(price, time_ms)


def _follow(answer: object, path: tuple[str, ...]) -> object:
    value = answer
    for depth, element in enumerate(path):
        entries: dict[str, object]
        if isinstance(value, dict):
            entries = value
        elif isinstance(value, list):
            entries = {str(position): item for position, item in enumerate(value)}
        else:
            entries = {}
        if element == ONLY and len(entries) == 1:
            value = next(iter(entries.values()))
        elif element in entries:
            value = entries[element]
        else:
            raise WrongAnswerError("missing_path", f"no {_name(path[: depth + 1])} in the answer")
    return value


def _read_price(value: object) -> Decimal:
    if not isinstance(value, str):
        raise WrongAnswerError(
            "not_a_number", f"a {type(value).__name__} where the price should be"
        )
    if _NOT_FINITE.fullmatch(value):
        raise WrongAnswerError("not_finite", _show(value))
    if _EXPONENT.fullmatch(value):
        # 3e3 is a number, but no exchange writes a price so: rather a bug than a market.
        raise WrongAnswerError("exponent", _show(value))
    if not _NUMBER.fullmatch(value):
        raise WrongAnswerError("not_a_number", _show(value))
    if value.startswith("-"):
        raise WrongAnswerError("negative", _show(value))
    if not _PRICE.fullmatch(value):
        raise WrongAnswerError("too_many_digits", _show(value))
    price = Decimal(value)
    if not price:
        raise WrongAnswerError("zero", _show(value))
    return price


def _read_time(value: object, unit: str) -> int:
    if isinstance(value, str) and len(value) <= _TIME_TEXT_MAX:
        if unit == "rfc3339":
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                moment = None
            if moment is not None and moment.tzinfo is not None:
                return int(moment.astimezone(UTC).timestamp()) * 1_000
        elif re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value):
            milliseconds = ARITHMETIC.divide(Decimal(value) * 1_000, Decimal(_PER_SECOND[unit]))
            return int(milliseconds)
    raise WrongAnswerError("bad_time", f"{_show(value)} is no time in {unit}")


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _show(value: object) -> str:
    """Return a short piece of what a stranger wrote, safe for a log line."""
    if not isinstance(value, str | bytes):
        return f"a {type(value).__name__}"  # what is nested may be too deep to write out
    shown = ascii(value[:60])
    return shown if len(shown) <= 60 else shown[:57] + "…"
