"""Whether what is there is what was rendered: so that steady state writes nothing. Pure.

The API server adds defaults and other controllers their fields; those are not ours to compare.
What we render must be there: mappings field by field, lists element by element.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_QUANTITY: Final = re.compile(
    r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]{1,3})?)([numkMGTPE]|[KMGTPE]i|)", re.ASCII
)
_DECIMAL_POWERS: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12,
                          "P": 15, "E": 18}  # fmt: skip
_BINARY_POWERS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def holds(live: Any, rendered: Any) -> bool:
    """Return whether everything in `rendered` is in `live`, whatever else is there.

    An empty mapping, list or text, and a None, are as good as nothing at all, for the server drops
    them; quantities are compared by their amount ("1024Mi" comes back as "1Gi").
    """
    if live == rendered:
        return True  # what is alike through and through, which most of it is, costs nothing
    if isinstance(rendered, dict):
        if not isinstance(live, dict):
            return live is None and not rendered
        return all(holds(live.get(key), value) for key, value in rendered.items())
    if isinstance(rendered, list | tuple):
        if not isinstance(live, list | tuple):
            return live is None and not rendered
        pairs = zip(live, rendered, strict=False)
        return len(live) == len(rendered) and all(holds(has, wants) for has, wants in pairs)
    if live is None:
        return not rendered  # "", false and 0 are left out by the server
    return _is_same_quantity(live, rendered)


def _is_same_quantity(left: object, right: object) -> bool:
    amounts = parse_quantity(left), parse_quantity(right)
    return None not in amounts and amounts[0] == amounts[1]


def parse_quantity(value: object) -> Decimal | None:
    """Return the amount of a Kubernetes quantity (`100m`, `1Gi`, 2); None if it is none."""
    text = str(value) if isinstance(value, str | int | float) else ""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    suffix = match.group(2)
    try:
        amount = Decimal(match.group(1))
    except InvalidOperation:
        return None
    if suffix in _BINARY_POWERS:
        return amount * Decimal(2 ** _BINARY_POWERS[suffix])
    return amount.scaleb(_DECIMAL_POWERS[suffix])
