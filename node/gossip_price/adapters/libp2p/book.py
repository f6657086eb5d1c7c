"""The peer book: where members were last said or seen to be, and when to dial them again.

Pure: time and dice come in. Holds addresses as text with the peer id kept apart; what is in
it was signed by the peer, proven by a handshake, persisted, or is a hint of the DHT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

#: Peers remembered; members are at most 256, the rest is for an open network's strangers.
PEERS_MAX: Final = 512
#: Addresses kept for one peer, newest first: a pod that moved, and where it was before.
ADDRESSES_MAX: Final = 4
BACKOFF_FIRST_S: Final = 0.5


@dataclass
class _Page:
    addresses: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    delay_s: float = 0.0
    next_dial: float = 0.0


class PeerBook:
    """Addresses and backoff by peer id."""

    def __init__(self, known: Mapping[str, tuple[str, ...]]) -> None:
        self._pages: dict[str, _Page] = {}
        for peer, addresses in known.items():
            self.learn(peer, addresses, now=0.0)

    def learn(
        self, peer: str, addresses: Iterable[str], now: float, *, wait_s: float = 0.0
    ) -> bool:
        """Put addresses in front; whether anything changed.

        A new address resets the backoff: a peer that moved is dialed at once, or after
        `wait_s`, by which one of two that learn of each other leaves the other the first try.
        """
        given = tuple(dict.fromkeys(addresses))[:ADDRESSES_MAX]
        page = self._open_page(peer)
        merged = tuple(dict.fromkeys((*given, *page.addresses)))[:ADDRESSES_MAX]
        if not set(given) <= set(page.addresses):
            page.delay_s, page.next_dial = 0.0, now + wait_s
        changed = merged != page.addresses
        page.addresses = merged
        return changed

    def hint(self, peer: str, addresses: Iterable[str]) -> None:
        """Note where the DHT says a peer is: dialed, but not persisted before it is proven."""
        self._open_page(peer).hints = tuple(dict.fromkeys(addresses))[:ADDRESSES_MAX]

    def get_addresses(self, peer: str) -> tuple[str, ...]:
        """Return where to dial, best first."""
        page = self._pages.get(peer, _Page())
        return tuple(dict.fromkeys((*page.addresses, *page.hints)))

    def list_due(self, now: float) -> list[str]:
        """Return the peers whose backoff has passed, longest due first."""
        due = [peer for peer, page in self._pages.items() if page.next_dial <= now]
        return sorted(due, key=lambda peer: self._pages[peer].next_dial)

    def process_dialed(
        self, peer: str, address: str | None, now: float, dice: float, *, delay_max_s: float
    ) -> bool:
        """Note a dial's end: the address that answered, or None; whether the book changed.

        `dice` in [0, 1) spreads the next try over half of the doubled delay.
        """
        page = self._open_page(peer)
        if address is None:
            page.delay_s = min(delay_max_s, 2 * max(page.delay_s, BACKOFF_FIRST_S / 2))
            page.next_dial = now + page.delay_s * (0.5 + dice / 2)
            return False
        page.delay_s, page.next_dial = 0.0, now
        before, page.addresses = (
            page.addresses,
            tuple(dict.fromkeys((address, *page.addresses)))[:ADDRESSES_MAX],
        )
        return before != page.addresses

    def snapshot(self) -> dict[str, tuple[str, ...]]:
        """Return what deserves to be persisted."""
        return {peer: page.addresses for peer, page in self._pages.items() if page.addresses}

    def _open_page(self, peer: str) -> _Page:
        page = self._pages.pop(peer, None) or _Page()
        while len(self._pages) >= PEERS_MAX:
            del self._pages[next(iter(self._pages))]  # the one untouched longest
        self._pages[peer] = page
        return page
