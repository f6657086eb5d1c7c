"""What only a real network leaves behind: journals on disks, a table's columns, words on the wire.

Beside the simulator's checkers, and like them without the core's code. Each can be shown to fail
(`test_checkers.py`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from faults.journal_file import JournalContent
from faults.table import TableRow
from gossip_price.simulator.checkers import Checker, Setting
from gossip_price.simulator.facts import Claim, Moment, Row

_NOWHERE: Final = Moment(0, 0, 0)
#: What the write path may say: the greeting at the start of a connection, INSERTs, and the question
#: that an idle connection is asked, which reads no table.
_GREETING: Final = re.compile(r"\s*SELECT \(SELECT version_num FROM alembic_version\)")
_PROBE: Final = "SHOW server_version"
_INSERT: Final = re.compile(r"\s*INSERT INTO (prices|epochs|signatures) \(")
#: The audit's own: it reads rows with their version, and moves false ones in one transaction.
_AUDIT: Final = re.compile(r"\s*SELECT .*\bp\.ctid\b|\s*WITH .*\bquarantine\b|BEGIN|COMMIT", re.S)


class RealChecker(Checker):
    """Looks at the end too: what the table, the journals and the wire's record hold."""

    def take_end(
        self,
        rows: list[TableRow],
        journals: dict[int, JournalContent],
        statements: list[list[str]],
    ) -> None:
        """Look at what is left."""


class JournalsChecker(RealChecker):
    """One vote for each round in all lives, nothing signed without it, all that is proven kept."""

    name = "journals"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        #: Node → ids of reports that its key signed, in all its lives.
        self._signed: dict[int, set[bytes]] = {}
        self._claims: dict[bytes, Claim] = {}
        self._calm_ms: int | None = None

    def calmed(self, at: Moment) -> None:
        # What is proven of later rounds may still be on its way when the history ends.
        self._calm_ms = at.true_ms

    def signed(self, at: Moment, node: int, digest: bytes) -> None:
        self._signed.setdefault(node, set()).add(digest)

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        self._claims[id_] = claim

    def take_end(
        self,
        rows: list[TableRow],
        journals: dict[int, JournalContent],
        statements: list[list[str]],
    ) -> None:
        stored = {row.row.id for row in rows}
        for node, content in journals.items():
            self._check_votes(node, content)
            for id_, (claim, members, _) in content.proven.items():
                law = self.law_by_epoch[claim.epoch]
                is_open = claim.proposer in {law.addresses[member] for member in members}
                if len(set(members)) < law.quorum or not is_open:
                    self._blame(node, f"calls {id_.hex()[:8]} proven by {members}", claim)
                over_ms = (claim.round + law.interval + law.skew) * 1000
                is_due = self._calm_ms is not None and over_ms <= self._calm_ms
                if is_due and id_ not in stored:
                    self._blame(
                        node, f"{id_.hex()[:8]} is proven in its journal, not stored", claim
                    )

    def _check_votes(self, node: int, content: JournalContent) -> None:
        bound: dict[tuple[str, int, bytes], bytes] = {}
        for _, id_, claim in content.votes:
            law = self.law_by_epoch[claim.epoch]
            if self.evidence.compute_id(claim) != id_:
                self._blame(node, f"its journal has {id_.hex()[:8]} for another report", claim)
            key = (claim.pair, claim.round, claim.proposer if law.every_node else b"")
            first = bound.setdefault(key, id_)
            if first != id_:
                self._blame(node, f"voted for {id_.hex()[:8]} and for {first.hex()[:8]}", claim)
        votes = {id_ for _, id_, _ in content.votes}
        for id_ in self._signed.get(node, set()) - votes:
            if id_ in self._claims:
                self._blame(node, f"signed {id_.hex()[:8]}, of which its journal knows nothing",
                            self._claims[id_])  # fmt: skip

    def _blame(self, node: int, text: str, claim: Claim) -> None:
        self.blame(_NOWHERE, node, text, pair=claim.pair, round_=claim.round)


class MessagesChecker(RealChecker):
    """What others heard of a member, over libp2p, is never two reports for one round."""

    name = "messages"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._signed: dict[tuple[bytes, str, int, bytes], bytes] = {}
        self._signers: dict[tuple[str, int], dict[bytes, set[bytes]]] = {}

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        for heard in self.evidence.read(data):
            claim = heard.claim
            law = self.law_by_epoch.get(claim.epoch)
            if law is None:
                self.blame(at, node, f"heard {heard.id.hex()[:8]} of an epoch that nobody made")
                continue
            ids = self._signers.setdefault((claim.pair, claim.round), {})
            ids.setdefault(heard.id, set()).update(heard.signers)
            proven = [i for i, who in ids.items() if len(who & set(law.addresses)) >= law.quorum]
            if len(proven) > 1 and not law.every_node:
                self.blame(at, node, "heard two proven reports", pair=claim.pair,
                           round_=claim.round)  # fmt: skip
            for signer in heard.signers:
                proposer = claim.proposer if law.every_node else b""
                key = (signer, claim.pair, claim.round, proposer)
                first = self._signed.setdefault(key, heard.id)
                if first != heard.id:
                    self.blame(
                        at, node,
                        f"heard {signer.hex()[:6]} sign {heard.id.hex()[:8]} and {first.hex()[:8]}",
                        pair=claim.pair, round_=claim.round,
                    )  # fmt: skip


class ColumnsChecker(RealChecker):
    """A row's plain columns say what its signed bytes say; only members wrote it."""

    name = "columns"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._asked: set[bytes] = set()

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self._asked.update(row.id for row in rows)

    def take_end(
        self,
        rows: list[TableRow],
        journals: dict[int, JournalContent],
        statements: list[list[str]],
    ) -> None:
        for row in rows:
            claim = row.row.claim
            price = Decimal(claim.price).scaleb(-claim.decimals)
            told = (Decimal(row.price), row.round, row.epoch, row.first_signer,
                    row.observed_at, row.decimals)  # fmt: skip
            signed = (price, claim.round, claim.epoch, claim.proposer,
                      claim.observed_at, claim.decimals)  # fmt: skip
            if told != signed:
                self._blame(row, f"its columns say {told}, signed is {signed}")
            if row.row.id not in self._asked:
                self._blame(row, "no node has sent it to the table")
            if row.writer not in self.laws[-1].addresses:
                self._blame(row, "written by nobody on the roster")

    def _blame(self, row: TableRow, text: str) -> None:
        self.blame(_NOWHERE, -1, f"{row.row.id.hex()[:8]}: {text}", pair=row.pair,
                   round_=row.round)  # fmt: skip


class StatementsChecker(RealChecker):
    """No SELECT on the write path: after its greeting a connection says INSERT; the audit reads."""

    name = "statements"

    def take_end(
        self,
        rows: list[TableRow],
        journals: dict[int, JournalContent],
        statements: list[list[str]],
    ) -> None:
        for texts in statements:
            for place, text in enumerate(texts):
                is_greeting = place == 0 and _GREETING.match(text) is not None
                if not (is_greeting or text == _PROBE or _INSERT.match(text) or _AUDIT.match(text)):
                    self.blame(_NOWHERE, -1, f"statement {place} of a connection: {text[:120]!r}")


def make_real_checkers(setting: Setting) -> list[RealChecker]:
    """Return one of every checker of this file."""
    makers: tuple[type[RealChecker], ...] = (
        JournalsChecker,
        MessagesChecker,
        ColumnsChecker,
        StatementsChecker,
    )
    return [maker(setting) for maker in makers]
