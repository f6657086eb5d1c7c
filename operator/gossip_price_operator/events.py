"""What a person should know of a network's life: events from one status to the next. Pure.

An event is told once for each change: its name is made of its reason and of what was before, and
a name that is taken stays as it is. So events go out before the status that they tell of: an
operator that dies in between tells again what its next life would have told, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def make_events(
    resource: Manifest, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Manifest]:
    """Return the Event objects that tell how the status came to change."""
    return [
        _make_event(resource, kind, reason, message, since)
        for kind, reason, message, since in _find_news(before, after)
    ]


def _find_news(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    known = {item["type"]: item for item in before.get("conditions") or ()}
    for item in after.get("conditions") or ():
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
            kind = "Normal" if is_good or _is_young(item, old) else "Warning"
            # Since when it was otherwise: the same for a writer that was interrupted and its next.
            since = f"{item['type']} {item['status']} {(old or {}).get('lastTransitionTime')}"
            yield kind, item["reason"], f"{item['type']}: {item['message']}", since
    old_epoch, epoch = before.get("epoch") or {}, after.get("epoch") or {}
    if epoch and epoch.get("hash") != old_epoch.get("hash"):
        said = (
            f"epoch {epoch['number']} is in force: {epoch['members']} members, of whom"
            f" {after.get('minimumSigners')} must sign"
        )
        yield "Normal", "EpochInForce", said, epoch["hash"]


def _is_young(item: Mapping[str, Any], old: Mapping[str, Any] | None) -> bool:
    """A new network that is not ready yet is no trouble."""
    return item["type"] != "Stalled" and old is None


def _make_event(resource: Manifest, kind: str, reason: str, message: str, since: str) -> Manifest:
    metadata = resource["metadata"]
    digest = compute_hash([metadata["uid"], reason, since], length=16)
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
        "type": kind,
        "reason": reason,
        "message": message[:_MESSAGE_CHARS_MAX],
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
        "count": 1,
    }
