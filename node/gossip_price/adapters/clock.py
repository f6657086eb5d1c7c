"""The machine's two clocks, read together."""

from __future__ import annotations

import time

from gossip_price.core.types import Now


class SystemClock:
    """A `ports.Clock` of this computer."""

    def now(self) -> Now:
        """Return wall and monotonic time in whole milliseconds."""
        return Now(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)
