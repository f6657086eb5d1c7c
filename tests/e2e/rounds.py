"""Whether every round has its price. Only votes that split may lose one, and nodes must say so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from e2e import measured
from e2e.database import StoredPrice, check_nobody_signed_twice
from e2e.network import INTERVAL_S, SETTLE_S, Network

#: From the end of a round until its price must be stored: settling up to its cap, a writer that
#: is slow, and one that takes over.
_STORED_S = 3 * SETTLE_S + 30
#: After this even a member that was away has written what it helped to prove.
_LAST_S = 240


def get_round(now: float | None = None) -> int:
    """Return the round that this moment is in."""
    return int(time.time() if now is None else now) // INTERVAL_S * INTERVAL_S


def find_missing(prices: Iterable[StoredPrice], first: int, last: int) -> list[int]:
    """Return the rounds from `first` to `last` that have no price."""
    there = {price.round for price in prices}
    return [number for number in range(first, last + 1, INTERVAL_S) if number not in there]


def check_no_round_lost(network: Network, what: str, first: int, last: int | None = None) -> None:
    """Wait for the prices of all rounds from `first` to `last` (the one that just began).

    A round for whose price the votes split has none; that is told, by the nodes and by us.
    """
    last = get_round() if last is None else last
    missing = _wait_for_rounds(network, first, last)
    prices = network.database.read()
    check_nobody_signed_twice(prices)
    told = find_told_lost(network) if missing else {}
    unexplained = [number for number in missing if "split" not in told.get(number, set())]
    assert not unexplained, f"{what}: no price of {unexplained}; nodes say {told}"
    count = (last - first) // INTERVAL_S + 1
    said = f"{count} rounds, {count - len(missing)} stored"
    split = f", votes split in {missing}" if missing else ""
    measured.report(what, said + split)


def _wait_for_rounds(network: Network, first: int, last: int) -> list[int]:
    """Return the rounds that are still missing when it is no use to wait any longer."""
    stored_s, given_up_s = last + INTERVAL_S + _STORED_S, last + INTERVAL_S + _LAST_S
    while True:
        missing = find_missing(network.database.read(), first, last)
        is_late = time.time() > stored_s
        if not missing or time.time() > given_up_s:
            return missing
        if is_late and all("split" in find_told_lost(network).get(n, set()) for n in missing):
            return missing
        time.sleep(2)


def find_told_lost(network: Network) -> dict[int, set[str]]:
    """Return the rounds that nodes have named lost in their logs, with the reasons given."""
    told: dict[int, set[str]] = {}
    for pod in network.list_pods("node"):
        log = network.kubectl("logs", pod["metadata"]["name"], "--tail=-1")
        for line in log.splitlines():
            if '"round_lost"' in line:
                entry = json.loads(line)
                told.setdefault(int(entry["round"]), set()).add(str(entry.get("reason")))
    return told
