"""All chance in the simulator: integers from a seed, the same on every machine and version.

Only `getrandbits` of a generator seeded with an integer is used: what `random` builds upon it
(choice, shuffle, floats) has changed between Python versions before.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from gossip_price.crypto import keccak256

_T = TypeVar("_T")


class Dice:
    """One stream of chance; another `name` is another stream of the same seed."""

    def __init__(self, seed: int, name: str) -> None:
        digest = keccak256(f"{seed} {name}".encode())
        generator = Random(int.from_bytes(digest, "big"))  # noqa: S311 # reproducible on purpose
        self._bits = generator.getrandbits

    def below(self, bound: int) -> int:
        """Return an integer from 0 to `bound` - 1."""
        return self._bits(32) * bound >> 32

    def list_below(self, bound: int, count: int) -> list[int]:
        """Return so many integers from 0 to `bound` - 1."""
        bits = self._bits
        return [bits(32) * bound >> 32 for _ in range(count)]

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, permille: int) -> bool:
        """Come true `permille` times in a thousand."""
        return permille > 0 and self.below(1000) < permille

    def pick(self, items: Sequence[_T]) -> _T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[_T], count: int) -> list[_T]:
        """Return `count` different items, in the items' order."""
        left = list(range(len(items)))
        chosen = sorted(left.pop(self.below(len(left))) for _ in range(min(count, len(items))))
        return [items[position] for position in chosen]
