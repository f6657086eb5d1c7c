"""4. Settled means settled: never written before the settle time after the last new signer.

By the writer's own monotonic clock, from what reached it. Not later than the cap is a part of the
liveness bound: who waits longer than the cap stores too late.
"""

from __future__ import annotations

from itertools import pairwise

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.checkers.evidence import Heard
from gossip_price.simulator.facts import Claim, Law, Moment, Row

#: Ids remembered for each node; older ones have settled long ago.
_REMEMBERED = 2_048


class SettlingChecker(Checker):
    """Knows when each signer of each report first reached each node in its present life."""

    name = "settling"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        #: Node → id → signer → when it was first known there, by its own monotonic clock.
        self._first_ms: dict[int, dict[bytes, dict[bytes, int]]] = {}
        #: What stood in the table once has settled: the audit may put it back at any time.
        self._stored: set[bytes] = set()
        #: What had settled at a node in an earlier life, whose journal it has: likewise.
        self._settled: dict[int, set[bytes]] = {}
        self._law_by_id: dict[bytes, Law] = {}

    def ended(self, at: Moment, node: int) -> None:
        settled = self._settled.setdefault(node, set())
        for id_, known in self._first_ms.get(node, {}).items():
            law = self._law_by_id.get(id_)
            if law is not None and len(known) >= law.quorum:
                times = sorted(known.values())
                if at.mono_ms >= _compute_settled_ms(times, law):
                    settled.add(id_)

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        if lost_volume:
            self._settled.pop(node, None)
        kept = {} if lost_volume else self._first_ms.get(node, {})
        # What an earlier life knew may have come from its journal, at this life's start.
        self._first_ms[node] = {
            id_: dict.fromkeys(signers, at.mono_ms) for id_, signers in kept.items()
        }

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        for heard in self.evidence.read(data):
            law = self.law_by_epoch.get(heard.claim.epoch)
            if law is not None and _is_stale(at, heard, law):
                continue  # nobody takes in the latecomer of a message like that
            self._learn(at, node, heard.id, heard.signers)
            if law is not None:
                self._law_by_id[heard.id] = law
                if len(self._law_by_id) > _REMEMBERED:
                    del self._law_by_id[next(iter(self._law_by_id))]

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        # Its own signature is made in this turn, or later when the disk fails.
        self._learn(at, node, id_, frozenset((self.setting.addresses[node],)))

    def _learn(self, at: Moment, node: int, id_: bytes, signers: frozenset[bytes]) -> None:
        ids = self._first_ms[node]
        known = ids.setdefault(id_, {})
        for signer in signers.difference(known):
            known[signer] = at.mono_ms
        if len(ids) > _REMEMBERED:
            del ids[next(iter(ids))]

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self._stored.update(row.id for row in rows)

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            law = self.law_by_epoch.get(row.claim.epoch)
            if law is None or row.id in self._stored or row.id in self._settled.get(node, ()):
                continue
            known = self._first_ms[node].get(row.id, {})
            times = sorted(known[signer] for signer, _ in row.signatures if signer in known)
            if len(times) < law.quorum:
                continue  # older than we remember, or the proof's checker says it
            settled_ms = _compute_settled_ms(times, law)
            if at.mono_ms < settled_ms:
                self.blame(
                    at, node, f"wrote {row.id.hex()[:8]} {settled_ms - at.mono_ms} ms too early",
                    pair=row.claim.pair, round_=row.claim.round,
                )  # fmt: skip

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        # What stands in a false row's place is a row as well.
        for id_ in put:
            law = self._law_by_id.get(id_)
            times = sorted(self._first_ms[node].get(id_, {}).values())
            is_known = id_ in self._stored or id_ in self._settled.get(node, ())
            if law is None or is_known or len(times) < law.quorum:
                continue
            settled_ms = _compute_settled_ms(times, law)
            if at.mono_ms < settled_ms:
                early_ms = settled_ms - at.mono_ms
                self.blame(at, node, f"put {id_.hex()[:8]} in its place {early_ms} ms too early")


def _is_stale(at: Moment, heard: Heard, law: Law) -> bool:
    """Tell whether a report is too old to be signed, and comes without a proof."""
    over_s = heard.claim.round + law.interval + law.skew
    return at.wall_ms >= over_s * 1000 and len(heard.signers) < law.quorum


def _compute_settled_ms(times: list[int], law: Law) -> int:
    """Return when a report settles whose signers, a quorum at least, came at these times.

    The first silence counts: who comes after it is late, and unsettles nothing.
    """
    cap_ms = times[law.quorum - 1] + law.settle_cap * 1000
    for last_ms, next_ms in pairwise(times[law.quorum - 1 :]):
        if next_ms > last_ms + law.settle * 1000:
            return min(last_ms + law.settle * 1000, cap_ms)
    return min(times[-1] + law.settle * 1000, cap_ms)
