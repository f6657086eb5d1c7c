"""Who may connect: the members, the bootstraps, in an open network anybody, never the banned.

Pure: `now` comes in. Read on the trio thread and written on the asyncio thread, therefore
the list is one attribute that is replaced, never changed.
"""

from __future__ import annotations

from typing import Final

#: Bans kept at once; the one that ends first gives way. A ban costs its author a handshake.
BANS_MAX: Final = 1024


class Membership:
    """The allow-list by peer id and the bans."""

    def __init__(self, allowed: frozenset[str], trusted: frozenset[str], open_access: bool) -> None:
        self._members = allowed
        self._trusted = trusted
        self._open = open_access
        self._bans: dict[str, float] = {}

    def replace(self, members: frozenset[str]) -> None:
        """Take a new list of members; the trusted (bootstraps) stay admitted."""
        self._members = members

    def is_member(self, peer: str) -> bool:
        """Whether the peer is on the list, or one of our bootstraps."""
        return peer in self._members or peer in self._trusted

    def is_banned(self, peer: str, now: float) -> bool:
        """Whether a ban of the peer is still running."""
        until = self._bans.get(peer)
        return until is not None and now < until

    def is_admitted(self, peer: str, now: float) -> bool:
        """Whether the peer may be connected at all."""
        return (self._open or self.is_member(peer)) and not self.is_banned(peer, now)

    def process_ban(self, peer: str, until: float, now: float) -> None:
        """Refuse the peer up to `until`."""
        for other in [other for other, end in self._bans.items() if end <= now]:
            del self._bans[other]
        if len(self._bans) >= BANS_MAX and peer not in self._bans:
            del self._bans[min(self._bans, key=self._bans.__getitem__)]
        self._bans[peer] = until
