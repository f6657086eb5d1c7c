"""Conditions as Kubernetes has them: a status, a reason, a message, and since when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

#: The API takes 32768; nobody reads more than this.
MESSAGE_LENGTH_MAX: Final = 1024


class Truth(Enum):
    """What a condition may say."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Condition:
    """One condition, without its times. `type` is its name, such as `Ready`."""

    type: str
    truth: Truth
    reason: str
    message: str


def write_conditions(
    conditions: Iterable[Condition], generation: int, now: int, previous: object
) -> list[dict[str, Any]]:
    """Return the conditions of a status, all of this generation.

    `previous` is what the status had: where the truth is the same, so is the time since when.
    """
    listed = previous if isinstance(previous, list) else []
    before = {item.get("type"): item for item in listed if isinstance(item, Mapping)}
    written = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.truth.value and old.get("lastTransitionTime")
        written.append(
            {
                "type": condition.type,
                "status": condition.truth.value,
                "reason": condition.reason,
                "message": _shorten(condition.message),
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else format_time(now),
            }
        )
    return written


def _shorten(message: str) -> str:
    whole = len(message) <= MESSAGE_LENGTH_MAX
    return message if whole else message[: MESSAGE_LENGTH_MAX - 1] + "…"


def format_time(unix_s: int) -> str:
    """Write Unix seconds as Kubernetes does: `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say_nodes(numbers: Iterable[int]) -> str:
    """Name nodes: `node 2`, `nodes 0, 3`."""
    listed = [str(number) for number in sorted(numbers)]
    return f"node{'' if len(listed) == 1 else 's'} {', '.join(listed)}"
