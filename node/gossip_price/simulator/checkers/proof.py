"""1. Every stored row has a quorum of distinct roster signers over exactly its content.

Proven anew as it enters the table, and at the end as it stands there, late signatures with it.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Claim, Law, Moment, Row, Signed, Told


class ProofChecker(Checker):
    """Proves each row by its own arithmetic."""

    name = "proof"
    hears_of = frozenset({"epoch_known"})

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        #: The place of the newest epoch that each node has said to know.
        self._known: dict[int, int] = {}
        self._kept: set[tuple[int, bytes]] = set()
        self._rosters: dict[bytes, frozenset[bytes]] = {}

    def told(self, at: Moment, node: int, told: Told) -> None:
        law = self.law_by_epoch.get(told.id) if told.kind == "epoch_known" else None
        if law is not None:
            self._known[node] = max(self._known.get(node, 0), self.laws.index(law))

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        if node in self.liars:
            return
        for row in rows:
            problem = self._find_problem(row)
            if problem is not None:
                claim = row.claim
                self.blame(at, node, f"stored {row.id.hex()[:8]}: {problem}", pair=claim.pair,
                           round_=claim.round)  # fmt: skip

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        # Also where another's row stands already, or the answer is lost.
        if node in self.liars:
            return
        for row in rows:
            problem = self._find_problem(row)
            if problem is not None:
                claim = row.claim
                self.blame(at, node, f"wrote {row.id.hex()[:8]}: {problem}", pair=claim.pair,
                           round_=claim.round)  # fmt: skip

    def kept(self, at: Moment, node: int, id_: bytes, claim: Claim, signatures: Signed) -> None:
        # What comes back after a crash must prove itself, whenever that is.
        law = self.law_by_epoch.get(claim.epoch)
        if node in self.liars or law is None:
            return
        signers = tuple((law.addresses[member], signature) for member, signature in signatures)
        # What it took in before it had heard, it keeps.
        asker = -1 if (node, id_) in self._kept else node
        problem = self._find_problem(Row(id_, claim, signers), asker)
        self._kept.add((node, id_))
        if problem is not None:
            self.blame(at, node, f"calls {id_.hex()[:8]} proven: {problem}", pair=claim.pair,
                       round_=claim.round)  # fmt: skip

    def stood(self, at: Moment, rows: tuple[Row, ...], late: tuple[Row, ...]) -> None:
        for row in rows:
            problem = self._find_problem(row)
            if problem is not None:
                self.blame(at, -1, f"{row.id.hex()[:8]} stands there: {problem}")
        for row in late:
            law = self.law_by_epoch[row.claim.epoch]
            for address, signature in row.signatures:
                is_good = self.evidence.find_signer(row.id, signature) == address
                if not is_good or address not in law.addresses:
                    self.blame(at, -1, f"a late signature of {row.id.hex()[:8]} is none")

    def _find_problem(self, row: Row, node: int = -1) -> str | None:
        claim = row.claim
        law = self.law_by_epoch.get(claim.epoch)
        if law is None:
            return "of an epoch that nobody made"
        is_laggard = node < 0 or self.laws.index(law) >= self._known.get(node, 0) - 1
        if claim.round < law.start:
            return "of an epoch that had not begun in its round"
        # A quorum that has not heard of the newest epoch may sign. One of two before cannot be, but
        # where quorums need not overlap: there it is nobody's who has heard.
        if self.is_left(law, claim.round) and not (law.every_node and is_laggard):
            return "of an epoch that was left for good before its round"
        if self.evidence.compute_id(claim) != row.id:
            return "its id is not the hash of its content"
        return _find_content_problem(claim, law) or self._find_signers_problem(row, law)

    def _find_signers_problem(self, row: Row, law: Law) -> str | None:
        proposer, find_signer = row.claim.proposer, self.evidence.find_signer
        for address, signature in row.signatures:
            if find_signer(row.id, signature) != address:
                return f"the signature of {address.hex()[:6]} is not theirs"
        signers = {address for address, _ in row.signatures}
        if not signers <= self._get_roster(law):
            return "somebody who is not on its epoch's roster has signed"
        if len(signers) < len(row.signatures):
            return "somebody is named twice"
        if proposer not in signers:
            return f"its proposer {proposer.hex()[:6]} has not signed"
        if len(signers) < law.quorum:
            return f"{len(signers)} distinct signers, {law.quorum} needed"
        return None

    def _get_roster(self, law: Law) -> frozenset[bytes]:
        roster = self._rosters.get(law.epoch)
        if roster is None:
            roster = self._rosters[law.epoch] = frozenset(law.addresses)
        return roster


def _find_content_problem(claim: Claim, law: Law) -> str | None:
    """Say what its epoch does not allow of a report, whoever has signed it."""
    if claim.round != claim.observed_at - claim.observed_at % law.interval:
        return "observed in another round"
    digits = law.digits.get(claim.pair)
    if digits is None or claim.decimals != digits.decimals:
        return f"{claim.pair} with {claim.decimals} decimals is no pair of its epoch"
    if not digits.low <= claim.price <= digits.high:
        return f"{claim.price} is no price that its epoch allows"
    if claim.proposer not in law.addresses:
        return "proposed by nobody on the roster"
    return None
