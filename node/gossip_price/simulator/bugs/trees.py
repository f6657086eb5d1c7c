"""Bugs in the hash trees: what they hold, and whether anybody compares them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from gossip_price.core import checks, doorkeeper, merkle
from gossip_price.core.asking import Asking
from gossip_price.core.catchup import Catchup
from gossip_price.core.forest import Forest
from gossip_price.core.types import Now
from gossip_price.core.wire import encode_open
from gossip_price.simulator.bugs.change import changed


def drop_closed_bits() -> AbstractContextManager[None]:
    """Take a closed round's report into the tree as it came first, whoever signs it later."""
    original = Forest.add

    def add(self: Any, id_: bytes, round_: int, bits: int) -> None:
        if round_ >= self.cut or not self.get_bits(id_):
            original(self, id_, round_, bits)

    return changed(Forest, "add", add)


def believe_trees() -> AbstractContextManager[None]:
    """Take what was asked for by its id alone: the tree has named it."""
    original = Asking._process_entries

    def process_entries(self: Any, event: Any, wanted: Any, now: Now) -> None:
        with changed(doorkeeper, "check_signature", lambda id_, signature, document: checks.ACCEPT):
            original(self, event, wanted, now)

    return changed(Asking, "_process_entries", process_entries)


def never_compare_roots() -> AbstractContextManager[None]:
    return changed(Catchup, "process_roots", lambda self, *given: None)


def leave_leaves_unsorted() -> AbstractContextManager[None]:
    # All members' roots agree for as long as all prove in the same order.
    return changed(merkle, "encode_leaf", lambda items: b"\0" + encode_open(items))
