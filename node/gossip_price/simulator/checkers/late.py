"""3. Signatures that came after a row was stored reach the table: no proof that a node has is lost.

What honest living members remember of rows that stand there is, at the end, in `sign_data` or in
`signatures`.
"""

from __future__ import annotations

from typing import Any, cast

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Moment, Row


class LateChecker(Checker):
    """Compares journals with tables when the world lets it look at both."""

    name = "late"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._calm_s: int | None = None
        #: By node: (id, signer) of what it remembers of the rounds before the calm.
        self._remembered: dict[int, set[tuple[bytes, bytes]]] = {}
        self._missing: set[tuple[bytes, bytes]] = set()
        self.added = 0

    def calmed(self, at: Moment) -> None:
        self._calm_s = at.true_ms // 1000

    def ended(self, at: Moment, node: int) -> None:
        self._remembered.pop(node, None)

    def inspected(self, at: Moment, node: int, machine: object, journal: object) -> None:
        if node in self.liars or self._calm_s is None:
            return
        known = self._remembered[node] = set()
        if self.setting.addresses[node] not in self.laws[-1].addresses:
            return  # who is no member any more writes what it helped to prove, and adds nothing
        for id_, record in cast("dict[bytes, Any]", cast("Any", journal).proven).items():
            report = record.entry.report
            law = self.law_by_epoch[report.epoch]
            if report.round + law.interval + law.settle_cap < self._calm_s:
                known.update((id_, law.addresses[one.member]) for one in record.entry.signatures)

    def stood(self, at: Moment, rows: tuple[Row, ...], late: tuple[Row, ...]) -> None:
        self.added = sum(len(row.signatures) for row in late)
        standing = {row.id for row in rows}
        told = {(row.id, signer) for row in (*rows, *late) for signer, _ in row.signatures}
        known = {one for ones in self._remembered.values() for one in ones}
        self._missing = {one for one in known - told if one[0] in standing}

    def is_content(self) -> bool:
        return not self._missing

    def close(self, at: Moment) -> None:
        for id_, signer in sorted(self._missing):
            self.blame(at, -1, f"{signer.hex()[:6]} signed {id_.hex()[:8]}, and no table says so")
