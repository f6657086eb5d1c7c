"""What a person should know of a network's life: events from one status to the next. Pure.

An event is told once for each change: its name is made of its reason and of what was before, and
a name that is taken stays as it is. So events go out before the status that they tell of: an
operator that dies in between tells again what its next life would have told, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.resources.metadata import compute_hash

_MESSAGE_CHARS_MAX: Final = 1_000
#: Conditions whose turn is news, and the truth that is the good one.
_TOLD: Final[Mapping[str, str]] = {
    "Ready": "True",
    "Stalled": "False",
    "PostgresReady": "True",
    "PricesFlowing": "True",
}
#: Why a condition is not good while the operator does what it was asked for.
_AT_WORK: Final = frozenset({"Creating", "Migrating"})


@dataclass(frozen=True)
class _News:
    """One event. `since` tells changes of one reason apart; `at` is its time, where known."""

    reason: str
    message: str
    since: str
    at: str | None
    is_warning: bool = False


def make_events(
    resource: Manifest, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Manifest]:
    """Return the Event objects that tell how the status came to change."""
    return [_make_event(resource, news) for news in _find_news(resource, before, after)]


def _find_news(
    resource: Manifest, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[_News]:
    known = {item["type"]: item for item in before.get("conditions") or ()}
    conditions = after.get("conditions") or ()
    for item in conditions:
        good = _TOLD.get(item["type"])
        old = known.get(item["type"])
        if good is None or item["status"] == "Unknown":
            continue
        is_good = item["status"] == good
        if old is None and is_good and item["type"] != "Ready":
            continue  # nothing was wrong before, and nothing is now
        # A condition that stays bad for another reason is news as well where a person must act.
        is_turned = old is None or old["status"] != item["status"]
        is_other = item["type"] == "Stalled" and not is_good and old is not None
        if is_turned or (is_other and old is not None and old["reason"] != item["reason"]):
            # Since when it was otherwise: the same for a writer that was interrupted and its next.
            since = f"{item['type']} {item['status']} {(old or {}).get('lastTransitionTime')}"
            yield _News(
                item["reason"],
                f"{item['type']}: {item['message']}",
                since,
                item["lastTransitionTime"] if is_turned else None,
                not (is_good or _is_expected(item, old, conditions)),
            )
    old_epoch, epoch = before.get("epoch") or {}, after.get("epoch") or {}
    if epoch and epoch.get("hash") != old_epoch.get("hash"):
        said = (
            f"epoch {epoch['number']} is in force: {epoch['members']} members, of whom"
            f" {after.get('minimumSigners')} must sign"
        )
        # A first epoch starts with the round in which the network was made, a little before it.
        at = max(epoch["start"], resource["metadata"].get("creationTimestamp") or "")
        yield _News("EpochInForce", said, epoch["hash"], at)


def _is_expected(
    item: Mapping[str, Any], old: Mapping[str, Any] | None, conditions: Iterable[Mapping[str, Any]]
) -> bool:
    """Tell whether what is not good is no trouble: a network is new, or changed as it was asked."""
    if item["type"] == "Stalled":
        return False
    if old is None or item["reason"] in _AT_WORK:
        return True
    # Ready is False and no aspect is: the plan alone is not at its end.
    is_bad = any(
        other["status"] == ("True" if other["type"] == "Stalled" else "False")
        for other in conditions
        if other["type"] not in ("Ready", "Reconciling")
    )
    return item["type"] == "Ready" and not is_bad


def _make_event(resource: Manifest, news: _News) -> Manifest:
    metadata = resource["metadata"]
    digest = compute_hash([metadata["uid"], news.reason, news.since], length=16)
    # Without them `kubectl describe` knows no age and no order.
    times = {} if news.at is None else {"firstTimestamp": news.at, "lastTimestamp": news.at}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": names.make_name(metadata["name"], digest),
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": "Warning" if news.is_warning else "Normal",
        "reason": news.reason,
        "message": news.message[:_MESSAGE_CHARS_MAX],
        **times,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
        "count": 1,
    }
