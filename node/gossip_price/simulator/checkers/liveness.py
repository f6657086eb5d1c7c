"""5. With a quorum of honest connected nodes, good sources and a database, every round is stored.

Within a stated bound. Excepted, and counted, is a round whose honest votes split between reports.
Only rounds are judged in which nothing went wrong at a quorum of honest members: where messages
are lost, healing brings what is missing, but no bound holds whatever is lost. `disturbed` says
where that was; tests/sim/test_healing.py counts what healing brings.
"""

from __future__ import annotations

from typing import NamedTuple

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Claim, Law, Moment, Row, Signed

#: Writers take over from each other after this; docs/protocol.md, "Who writes".
_WRITER_STEP_MS = 3_000
#: Gathering, the statement's way, and the milliseconds between.
_SLACK_MS = 6_000
#: Somebody's receipt delays a write by this.
_RECEIPT_MS = 3_600_000
#: What went wrong this long before a round may still be on its way in it.
_BEFORE_MS = 5_000


class Counts(NamedTuple):
    """Rounds of all pairs: how many there were, how many were promised, stored, split."""

    rounds: int
    promised: int
    stored: int
    split: int
    slowest_ms: int


class LivenessChecker(Checker):
    """Judges at the end, for each round, whether it was promised and whether it was stored."""

    name = "liveness"
    hears_words = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._began_ms: int | None = None
        self._disturbances: list[tuple[int, int, str, frozenset[int]]] = []
        #: Rows that the database's owner refuses.
        self._poisoned: set[bytes] = set()
        self._stored_ms: dict[tuple[str, int], int] = {}
        self._ids_stored_ms: dict[bytes, int] = {}
        self._proven: set[tuple[str, int]] = set()
        self._signers: dict[tuple[str, int], dict[bytes, set[bytes]]] = {}
        self._node_by_address = {address: i for i, address in enumerate(setting.addresses)}
        self.counts = Counts(0, 0, 0, 0, 0)

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        if self._began_ms is None:
            self._began_ms = at.true_ms

    def disturbed(self, start_ms: int, end_ms: int, kind: str, nodes: tuple[int, ...]) -> None:
        touched = frozenset(nodes or range(len(self.setting.peers)))
        self._disturbances.append((start_ms, end_ms, kind, touched))

    def poisoned(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        self._poisoned.update(ids)

    def published(self, at: Moment, node: int, data: bytes) -> None:
        if node in self.liars:
            return  # it proves something to who takes it in, which keeps it then
        for heard in self.evidence.read(data):
            law = self.law_by_epoch.get(heard.claim.epoch)
            if law is None:
                continue
            key = (heard.claim.pair, heard.claim.round)
            signers = self._signers.setdefault(key, {}).setdefault(heard.id, set())
            signers.update(signer for signer in heard.signers if signer in law.addresses)
            if len(signers) >= law.quorum:
                self._proven.add(key)

    def kept(self, at: Moment, node: int, id_: bytes, claim: Claim, signatures: Signed) -> None:
        if self.liars:
            self._proven.add((claim.pair, claim.round))

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            self._ids_stored_ms.setdefault(row.id, at.true_ms)
            self._stored_ms.setdefault((row.claim.pair, row.claim.round), at.true_ms)

    def close(self, at: Moment) -> None:
        rounds = promised = stored = split = slowest_ms = 0
        began_s = (self._began_ms or at.true_ms) // 1000
        for law, pair, round_ in self._list_rounds(began_s, at.true_ms // 1000):
            rounds += 1
            if not self._is_promised(law, round_):
                continue
            promised += 1
            key = (pair, round_)
            if self._poisoned & self._signers.get(key, {}).keys() and not law.every_node:
                continue  # the only row of its round, and the database refuses it
            if key not in self._proven:
                if self._is_split(law, key):
                    split += 1
                else:
                    self.blame(at, -1, "was not proven", pair=pair, round_=round_)
                continue
            bound_ms = compute_bound_ms(law) + _RECEIPT_MS * bool(self.liars)
            stored_ms = self._stored_ms.get(key)
            if stored_ms is not None and stored_ms <= round_ * 1000 + bound_ms:
                stored += 1
                slowest_ms = max(slowest_ms, stored_ms - round_ * 1000)
            elif self._is_database_well(round_, bound_ms) and at.true_ms > (
                round_ * 1000 + bound_ms
            ):
                late = "not" if stored_ms is None else f"{stored_ms - round_ * 1000} ms after"
                self.blame(at, -1, f"stored {late}, bound {bound_ms} ms", pair=pair, round_=round_)
        self.counts = Counts(rounds, promised, stored, split, slowest_ms)

        if not self._disturbances and not self.liars:
            self._judge_company(at)

    def _judge_company(self, at: Moment) -> None:
        """While nothing else goes wrong, no row waits for another that the database refuses."""
        for (pair, round_), signers in self._signers.items():
            law = self.get_law(round_)
            if law is None:
                continue
            bound_ms = round_ * 1000 + compute_bound_ms(law)
            for id_, who in signers.items():
                stored_ms = self._ids_stored_ms.get(id_, at.true_ms)
                if len(who) >= law.quorum and id_ not in self._poisoned and stored_ms > bound_ms:
                    self.blame(at, -1, f"{id_.hex()[:8]} was stored late", pair=pair, round_=round_)

    def _list_rounds(self, began_s: int, end_s: int) -> list[tuple[Law, str, int]]:
        """Return the rounds that began after the beginning and ended well before the end."""
        found = []
        for position, law in enumerate(self.laws):
            after = self.laws[position + 1].start if position + 1 < len(self.laws) else end_s
            last = min(after, end_s - law.interval - 2 * law.skew)
            for round_ in range(law.start, last, law.interval):
                if round_ > began_s + law.skew:
                    found += [(law, pair, round_) for pair in law.pairs]
        return found

    def _is_promised(self, law: Law, round_: int) -> bool:
        start_ms = round_ * 1000 - _BEFORE_MS
        end_ms = (round_ + law.interval + law.skew) * 1000
        troubled = set(self.liars)
        for begin, end, kind, nodes in self._disturbances:
            if kind != "database" and begin < end_ms and end > start_ms:
                troubled |= nodes
        healthy = [
            address for address in law.addresses if self._node_by_address[address] not in troubled
        ]
        return len(healthy) >= law.quorum

    def _is_database_well(self, round_: int, bound_ms: int) -> bool:
        """Tell whether nothing at all went wrong until the bound: writers need their wits too."""
        end_ms = round_ * 1000 + bound_ms
        return not any(
            begin < end_ms and end > round_ * 1000 for begin, end, _, _ in self._disturbances
        )

    def _is_split(self, law: Law, key: tuple[str, int]) -> bool:
        """Tell whether honest members have signed different reports of this round."""
        signed = [
            id_
            for id_, signers in self._signers.get(key, {}).items()
            if any(self._node_by_address[signer] not in self.liars for signer in signers)
        ]
        return len(signed) > 1 and not law.every_node


def compute_bound_ms(law: Law) -> int:
    """Return within which time after its start a round is stored, while no liar vouches for it.

    It is proven while it is current, settles by the cap, and each writer gives the one before it
    a step.
    """
    proven_ms = (law.interval + law.skew) * 1000
    writers_ms = len(law.addresses) * _WRITER_STEP_MS
    return proven_ms + law.settle_cap * 1000 + writers_ms + _SLACK_MS
