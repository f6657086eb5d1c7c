"""Who is there: the newest heartbeat of each member, and which store it writes to."""

from __future__ import annotations

from gossip_price.core.limits import HEARTBEAT_MISSED, HEARTBEAT_MS, HEARTBEAT_QUIET_MS
from gossip_price.core.wire import Heartbeat
from gossip_price.network.document import Document

#: All members together send about this many heartbeats a second, and in quiet one in so long.
_BEATS_A_SECOND = 4
_QUIET_MS_A_MEMBER = 3_000


def compute_heartbeat_interval_ms(members: int) -> int:
    """Return how often a member beats: HEARTBEAT_MS, longer in a network of many."""
    return max(HEARTBEAT_MS, members * 1000 // _BEATS_A_SECOND)


def compute_quiet_interval_ms(members: int) -> int:
    """Return how often a member beats while no price is under way."""
    return max(HEARTBEAT_QUIET_MS, members * _QUIET_MS_A_MEMBER)


class Presence:
    """The newest heartbeat of each member, by address. A replay changes nothing."""

    def __init__(self) -> None:
        self._beats: dict[bytes, tuple[Heartbeat, int]] = {}

    def process_heartbeat(self, heartbeat: Heartbeat, mono_ms: int) -> bool:
        """Take a checked heartbeat; tell whether it is newer than what we had.

        Newer means a later boot, or the same boot and a higher sequence.
        """
        known = self._beats.get(heartbeat.member)
        order = (heartbeat.boot, heartbeat.sequence)
        if known is not None and order <= (known[0].boot, known[0].sequence):
            return False
        self._beats[heartbeat.member] = (heartbeat, mono_ms)
        return True

    def get_writers(self, document: Document, store: bytes, mono_ms: int) -> list[bytes]:
        """Return the members of `document` that live and name `store`."""
        # Nobody can tell from outside whether another is quiet; a dead writer costs a step each.
        oldest = mono_ms - HEARTBEAT_MISSED * compute_quiet_interval_ms(len(document.members))
        return [
            address
            for address in document.addresses
            if (beat := self._beats.get(address)) is not None
            and beat[1] >= oldest
            and beat[0].store == store
        ]

    def forget_all_but(self, members: frozenset[bytes]) -> None:
        """Drop who is on no roster any more."""
        for address in self._beats.keys() - members:
            del self._beats[address]
