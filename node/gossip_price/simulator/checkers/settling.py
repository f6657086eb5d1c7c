"""4. Settled means settled: never written before the settle time after the last new signer.

By the writer's own monotonic clock, from what reached it. Not later than the cap is a part of the
liveness bound: who waits longer than the cap stores too late.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Claim, Moment, Row

#: Ids remembered for each node; older ones have settled long ago.
_REMEMBERED = 2_048


class SettlingChecker(Checker):
    """Knows when each signer of each report first reached each node in its present life."""

    name = "settling"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._first_ms: dict[int, dict[bytes, dict[bytes, int]]] = {}
        self._began_ms: dict[int, int] = {}
        self._own: dict[int, dict[bytes, int]] = {}

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._first_ms[node] = {}
        self._own[node] = {}
        self._began_ms[node] = at.mono_ms

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        for heard in self.evidence.read(data):
            known = self._first_ms[node].setdefault(heard.id, {})
            for signer in heard.signers:
                known.setdefault(signer, at.mono_ms)
            if len(self._first_ms[node]) > _REMEMBERED:
                del self._first_ms[node][next(iter(self._first_ms[node]))]

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        # Its own signature is made in this turn, or later when the disk fails.
        self._own[node].setdefault(id_, at.mono_ms)
        if len(self._own[node]) > _REMEMBERED:
            del self._own[node][next(iter(self._own[node]))]

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            law = self.law_by_epoch.get(row.claim.epoch)
            if law is None:
                continue
            known = self._first_ms[node].get(row.id, {})
            # What did not reach it in this life came from its journal, at this life's start.
            began_ms = self._own[node].get(row.id, self._began_ms[node])
            times = sorted(known.get(signer, began_ms) for signer, _ in row.signatures)
            if len(times) < law.quorum:
                continue  # the proof's checker says it
            settled_ms = min(
                times[-1] + law.settle * 1000, times[law.quorum - 1] + law.settle_cap * 1000
            )
            if at.mono_ms < settled_ms:
                self.blame(
                    at, node, f"wrote {row.id.hex()[:8]} {settled_ms - at.mono_ms} ms too early",
                    pair=row.claim.pair, round_=row.claim.round,
                )  # fmt: skip
