"""The clocks of one simulated machine: one that may be wrong, drift and step, one that only drifts.

True time is the world's: milliseconds since 1970, known to nobody inside the world.
"""

from __future__ import annotations

from typing import Final

from gossip_price.core.types import Now

_MILLION: Final = 1_000_000


class SimulatedClock:
    """Both clocks of a machine as functions of true time.

    `error_ms` is how far the wall clock is ahead now, and may be set (a step); `drift_ppm` is how
    much both run fast; `mono_ms` is what the monotonic clock says at `true_ms`.
    """

    def __init__(
        self, true_ms: int, *, mono_ms: int, error_ms: int = 0, drift_ppm: int = 0
    ) -> None:
        self.error_ms = error_ms
        self._since_ms = true_ms
        self._mono_ms = mono_ms
        self._drift_ppm = drift_ppm

    def read(self, true_ms: int) -> Now:
        """Return what both clocks say at this true time."""
        elapsed_ms = true_ms - self._since_ms
        if self._drift_ppm:
            elapsed_ms += elapsed_ms * self._drift_ppm // _MILLION
        return Now(self._since_ms + elapsed_ms + self.error_ms, self._mono_ms + elapsed_ms)

    def find_true_ms(self, mono_ms: int) -> int:
        """Return the first true time at which the monotonic clock says at least `mono_ms`."""
        rate = _MILLION + self._drift_ppm
        return self._since_ms - (self._mono_ms - mono_ms) * _MILLION // rate

    def set_right(self, true_ms: int, *, mono_ms: int, error_ms: int, drift_ppm: int) -> None:
        """Begin anew: another boot of the machine, or a time server that was reached again."""
        self.error_ms = error_ms
        self._since_ms, self._mono_ms = true_ms, mono_ms
        self._drift_ppm = drift_ppm
