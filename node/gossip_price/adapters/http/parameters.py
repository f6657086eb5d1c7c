"""A request's parameters as values, or a problem that names the one at fault."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from starlette.requests import Request

from gossip_price.adapters import rfc3339
from gossip_price.adapters.http.problems import GIVEN_MAX, ProblemError
from gossip_price.core.proof import parse_hash
from gossip_price.core.rows import Key
from gossip_price.network.document import INTEGER_MAX

_CURSOR: Final = re.compile(r"([0-9]{1,16})-([0-9a-f]{64})")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
TIME_ALLOWED: Final = "RFC 3339 with a zone, as 2026-11-25T17:00:00Z (write a + of a zone as %2B)"


class Parameters:
    """The query of a request. `known` are the names that it may have, each once.

    Everything raises ProblemError.
    """

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise _complain(name, "an unknown parameter", f"allowed: {allowed}")
            if name in self._values:
                raise _complain(name, "given twice", "allowed: once")
            self._values[name] = value

    def get_pair(self, pairs: Collection[str]) -> str | None:
        """Return `pair`, one of these; None if it was left out."""
        pair = self._values.get("pair")
        if pair is not None and pair not in pairs:
            raise _complain("pair", _quote(pair), f"allowed: {', '.join(pairs)}")
        return pair

    def get_time(self, name: str) -> int | None:
        """Return a time in Unix seconds, a part of a second rounded up; None if left out."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            moment = rfc3339.parse(text)
        except ValueError:
            raise _complain(name, _quote(text), f"allowed: {TIME_ALLOWED}") from None
        whole = int(moment.replace(microsecond=0).timestamp())
        return max(0, whole + (moment.microsecond > 0))

    def get_span(self, first: str, last: str) -> tuple[int, int]:
        """Return two times in Unix seconds, all of time where they are left out."""
        begin, end = self.get_time(first), self.get_time(last)
        if begin is not None and end is not None and begin > end:
            given = f"{self._values[first]!r} given, and {last}: {self._values[last]!r}"
            raise _complain(first, given, f"allowed: {first} not later than {last}")
        return begin or 0, INTEGER_MAX if end is None else end

    def get_limit(self, default: int, highest: int) -> int:
        """Return `limit`, from 1 to `highest`."""
        text = self._values.get("limit")
        if text is None:
            return default
        if _COUNT.fullmatch(text) is None or not 1 <= int(text) <= highest:
            raise _complain("limit", _quote(text), f"allowed: 1 to {highest}")
        return int(text)

    def get_cursor(self) -> Key | None:
        """Return where the page begins; None for the first one."""
        text = self._values.get("cursor")
        if text is None:
            return None
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[1]) > INTEGER_MAX:
            raise _complain("cursor", _quote(text), "allowed: what `next` of the page before says")
        return int(match[1]), bytes.fromhex(match[2])


def format_cursor(key: Key) -> str:
    """Write where a page begins."""
    return f"{key[0]}-{key[1].hex()}"


def get_id(request: Request) -> bytes:
    """Return the id in the path. Raises ProblemError."""
    text = request.path_params["id"]
    try:
        return parse_hash(text)
    except ValueError:
        allowed = "allowed: 0x and 64 hex digits in lower case"
        raise _complain("id", _quote(text), allowed) from None


def _quote(text: str) -> str:
    return f"{text[:GIVEN_MAX]!r} given"


def _complain(name: str, given: str, allowed: str) -> ProblemError:
    name = name[:GIVEN_MAX]
    return ProblemError(400, f"{name}: {given}, {allowed}", parameter=name)
