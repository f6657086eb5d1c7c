"""Prices in files and on standard input: one JSON object, a list, or a price a line.

A list is the API's document or a bare array, and may be empty. Nothing at all is no list: a program
that should have written prices there has failed.

Lines are read one at a time, so that a million prices need the memory of one. Knows shapes only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from gossip_price.core.price import Price, PriceFormatError, parse_price

#: One price on a line; with 256 signatures and 256 members in its document about 150 KB.
LINE_BYTES_MAX: Final = 1 << 20
#: A list, or a price over many lines; it is held in memory whole.
DOCUMENT_BYTES_MAX: Final = 64 << 20
#: So much of what a node says in place of a price is repeated.
_SAID_MAX: Final = 400


@contextmanager
def open_prices(name: str) -> Iterator[Iterator[Price]]:
    """Open a file, or standard input for `-`, and give its prices one by one.

    Raises OSError, and PriceFormatError, which names the place and the field.
    """
    if name == "-":
        yield read_prices(sys.stdin.buffer)
    else:
        with Path(name).open("rb") as file:
            yield read_prices(file)


def read_prices(file: BinaryIO) -> Iterator[Price]:
    """Give each price in `file`. Raises PriceFormatError."""
    line = file.readline(LINE_BYTES_MAX + 1)
    if _is_price(line):
        yield from _read_lines(file, line)
        return
    data = line + file.read(DOCUMENT_BYTES_MAX + 1 - len(line))
    if len(data) > DOCUMENT_BYTES_MAX:
        raise PriceFormatError(
            f"one JSON document of more than {DOCUMENT_BYTES_MAX} bytes: write one price a line"
        )
    if not data.strip():
        raise PriceFormatError(
            "nothing came: whatever should have written prices there wrote none"
            " (curl -fsS says why it could not fetch them)"
        )
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PriceFormatError(f"no JSON: {error}") from error
    if isinstance(value, dict) and "prices" not in value:
        yield _parse(value, "the object")
        return
    listed = value["prices"] if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise PriceFormatError(
            "allowed: one price, a list of them ([…], or the API's page), or a price a line"
        )
    for position, item in enumerate(listed):
        yield _parse(item, f"prices[{position}]")


def _read_lines(file: BinaryIO, line: bytes) -> Iterator[Price]:
    number = 1
    while line:
        if len(line) > LINE_BYTES_MAX:
            raise PriceFormatError(f"line {number}: longer than {LINE_BYTES_MAX} bytes")
        if line.strip():
            yield _parse(line, f"line {number}")
        number += 1
        line = file.readline(LINE_BYTES_MAX + 1)


def _is_price(line: bytes) -> bool:
    """Tell whether this one line is a whole JSON object that is not a list of prices."""
    value = _decode(line)
    return isinstance(value, dict) and "prices" not in value


def _parse(raw: bytes | Any, place: str) -> Price:
    try:
        return parse_price(raw)
    except PriceFormatError as error:
        value = _decode(raw) if isinstance(raw, bytes) else raw
        raise PriceFormatError(f"{place}: {_read_refusal(value) or error}") from error


def _decode(line: bytes) -> Any:
    """Return what a line says, None if it is no JSON."""
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _read_refusal(value: Any) -> str | None:
    """Return what a node said in place of a price (RFC 9457), None if this is no such answer."""
    if not isinstance(value, dict) or "report" in value:
        return None
    said = [value[name] for name in ("title", "detail") if isinstance(value.get(name), str)]
    if not said:
        return None
    text = ": ".join(said)[:_SAID_MAX]
    # Nothing in it may steer a terminal: it may come from anywhere.
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"no price but what a node says in its place: {text}"
