"""Where simulated members see prices: one true price that walks, and sources that are not it."""

from __future__ import annotations

from typing import Final, NamedTuple

from gossip_price.simulator.dice import Dice

#: What prices are in, whatever an epoch says: units of 10^-8.
DECIMALS: Final = 8
#: 2 500 dollars.
PRICE: Final = 250_000_000_000
#: Furthest a minute moves the price, and a source's quote is from it, in basis points.
_WALK_BP: Final = 12
_NOISE_BP: Final = 4


class Quote(NamedTuple):
    """An answer after `delay_ms`; `price` None when there were too few good sources."""

    delay_ms: int
    price: int | None


class Market:
    """A price for every pair and second, the same for all; each member's sources err a little.

    `fetch_ms` is a member's usual delay; the mappings, by member, are the world's to set.
    """

    def __init__(self, dice: Dice, *, fetch_ms: int = 80) -> None:
        self._dice = dice
        self.fetch_ms = fetch_ms
        #: Moves every quote of a member by these basis points.
        self.shift_bp: dict[int, int] = {}
        #: A member sees the price of this many seconds ago.
        self.lag_s: dict[int, int] = {}
        #: A member's answers take this much longer.
        self.delay_ms: dict[int, int] = {}
        self.failing: set[int] = set()
        self._walks: dict[str, list[int]] = {}
        self._start_min: int | None = None

    def observe(self, member: int, pair: str, true_ms: int, deadline_ms: int) -> Quote:
        """Return what this member's sources say now, within `deadline_ms`."""
        dice = self._dice
        noise_bp = dice.between(-_NOISE_BP, _NOISE_BP)
        delay_ms = self.fetch_ms + dice.below(self.fetch_ms + 1) + self.delay_ms.get(member, 0)
        if member in self.failing or delay_ms > deadline_ms:
            return Quote(min(delay_ms, deadline_ms), None)
        price = self.get_price(pair, true_ms // 1000 - self.lag_s.get(member, 0))
        shift_bp = 10_000 + noise_bp + self.shift_bp.get(member, 0)
        return Quote(delay_ms, max(1, price * shift_bp // 10_000))

    def get_price(self, pair: str, unix_s: int) -> int:
        """Return the true price at a second, walking on from minute to minute."""
        minute = unix_s // 60
        if self._start_min is None:
            self._start_min = minute - 1_440
        walk = self._walks.setdefault(pair, [PRICE])
        position = max(0, minute - self._start_min)
        while len(walk) <= position:
            step_bp = self._dice.between(-_WALK_BP, _WALK_BP)
            # Drawn back to where it began, so that a year's walk leaves no price range.
            walk.append(walk[-1] + walk[-1] * step_bp // 10_000 - (walk[-1] - PRICE) // 500)
        return walk[position]
