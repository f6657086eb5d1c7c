"""The ways between members: latency, loss, duplication, reordering, and who is cut off from whom.

A way is one direction from one member to another. The mesh's habit of finding another way round
a broken one is left out on purpose: the protocol must not need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gossip_price.simulator.dice import Dice

#: How long a node refuses the author of something provably false (as the libp2p adapter does).
PENALTY_MS: Final = 300_000


class Links:
    """What happens to a message on its way. All numbers are the world's to set."""

    def __init__(self, dice: Dice, *, latency_ms: int = 20, jitter_ms: int = 30) -> None:
        self._dice = dice
        self.latency_ms = latency_ms
        self.jitter_ms = jitter_ms
        self.extra_ms = 0
        self.loss_permille = 0
        self.copies_permille = 0
        #: (sender, receiver) → how many faults break this way now; none where none does.
        self.broken: dict[tuple[int, int], int] = {}
        self._refused_until_ms: dict[tuple[int, int], int] = {}

    def spread(
        self, sender: int, receivers: Sequence[int], true_ms: int, data: bytes
    ) -> Mapping[int, Sequence[int]]:
        """Return, by delay in milliseconds, who gets a copy of `data` then, in their order."""
        del data
        is_peaceful = not (
            self.broken or self._refused_until_ms or self.loss_permille or self.copies_permille
        )
        arrived: dict[int, list[int]] = {}
        if is_peaceful:
            bound = self.jitter_ms + self.extra_ms + 1
            late_ms = self._dice.list_below(bound, len(receivers))
            for receiver, more_ms in zip(receivers, late_ms, strict=True):
                arrived.setdefault(self.latency_ms + more_ms, []).append(receiver)
        else:
            for receiver in receivers:
                for delay_ms in self.route(sender, receiver, true_ms):
                    arrived.setdefault(delay_ms, []).append(receiver)
        return arrived

    def route(self, sender: int, receiver: int, true_ms: int) -> tuple[int, ...]:
        """Return after how many milliseconds each copy arrives; none if it is lost."""
        if self.broken.get((sender, receiver)):
            return ()
        if self._refused_until_ms and self._is_refused(sender, receiver, true_ms):
            return ()
        dice = self._dice
        if self.loss_permille and dice.chance(self.loss_permille):
            return ()
        spread_ms = self.jitter_ms + self.extra_ms
        delay_ms = self.latency_ms + dice.below(spread_ms + 1)
        if self.copies_permille and dice.chance(self.copies_permille):
            return (delay_ms, delay_ms + dice.below(4 * spread_ms + 1))
        return (delay_ms,)

    def refuse(self, receiver: int, sender: int, true_ms: int) -> None:
        """Cut a sender off at a receiver that penalized it."""
        self._refused_until_ms[sender, receiver] = true_ms + PENALTY_MS

    def break_way(self, sender: int, receiver: int) -> None:
        """Let nothing through in this direction."""
        self.broken[sender, receiver] = self.broken.get((sender, receiver), 0) + 1

    def mend_way(self, sender: int, receiver: int) -> None:
        """Take back one `break_way`."""
        if self.broken[sender, receiver] > 1:
            self.broken[sender, receiver] -= 1
        else:
            del self.broken[sender, receiver]

    def _is_refused(self, sender: int, receiver: int, true_ms: int) -> bool:
        # A cut connection is cut both ways.
        until_ms = max(
            self._refused_until_ms.get((sender, receiver), 0),
            self._refused_until_ms.get((receiver, sender), 0),
        )
        return true_ms < until_ms
