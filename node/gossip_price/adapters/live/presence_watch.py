"""Looks now and then whether who is there has changed, and tells the board. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from gossip_price.adapters.live.board import LiveBoard
from gossip_price.core.testimony import Seen

#: Heartbeats come every few seconds from each; listeners are told of them together.
PERIOD_S: Final = 2.0


class PresenceWatch:
    """Tells `board` what heartbeats bring.

    `count_changes` grows whenever something of it may have changed; `list_seen` are the newest
    observations of members, by address.
    """

    def __init__(
        self,
        board: LiveBoard,
        *,
        count_changes: Callable[[], int],
        list_seen: Callable[[], Iterable[tuple[bytes, Seen]]],
    ) -> None:
        self._board = board
        self._count_changes = count_changes
        self._list_seen = list_seen
        self._changes = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Look once."""
        changes = self._count_changes()
        if changes == self._changes:
            return
        self._changes = changes
        for member, seen in self._list_seen():
            self._board.add_observation(member, seen.pair, seen.round, seen.price)
        self._board.tell_network()
