"""Bugs in what is let in and counted: the door, signers, quorums, and who is blamed."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from heapq import heappush
from typing import Any, Final

from gossip_price import crypto
from gossip_price.core import checks, doorkeeper
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.quorum import Tally
from gossip_price.core.types import Now
from gossip_price.crypto import SignatureError
from gossip_price.simulator.bugs.change import changed

_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def count_messages() -> AbstractContextManager[None]:
    original = Doorkeeper.process_entry
    counts: weakref.WeakKeyDictionary[Doorkeeper, dict[bytes, int]] = weakref.WeakKeyDictionary()

    def process_entry(self: Any, entry: Any, now: Now) -> Any:
        verdict = original(self, entry, now)
        document = self._calendar.chain.find(entry.report.epoch)
        tally = document and self._reports.get(entry.report.compute_id(document.separator))
        if verdict is checks.ACCEPT and tally:
            heard = counts.setdefault(self, {})
            heard[tally.id] = heard.get(tally.id, 0) + len(entry.signatures)
            if not tally.is_proven and heard[tally.id] >= tally.document.minimum_signers:
                tally.proven_ms = now.mono_ms
                heappush(self._merging._settling, (tally.settles_ms, tally.id))
        return verdict

    return changed(Doorkeeper, "process_entry", process_entry)


def count_other_epoch() -> AbstractContextManager[None]:
    original = Doorkeeper.process_entry

    def process_entry(self: Any, entry: Any, now: Now) -> Any:
        everybody = {address for doc in self._calendar.chain.documents for address in doc.addresses}

        def check(id_: bytes, signature: Any, document: Any) -> Any:
            try:
                is_member = vars(checks)["recover"](id_, signature.signature) in everybody
            except SignatureError:
                is_member = False
            return checks.ACCEPT if is_member else checks._reject("bad_signature")

        with changed(doorkeeper, "check_signature", check):
            return original(self, entry, now)

    return changed(Doorkeeper, "process_entry", process_entry)


def blame_proposer() -> AbstractContextManager[None]:
    original = Doorkeeper.process_verdict

    def process_verdict(self: Any, verdict: Any, author: str, report: Any = None) -> bool:
        document = report and self._calendar.chain.find(report.epoch)
        index = document and document.index_by_address.get(report.proposer)
        blamed = author if index is None else document.members[index].peer_id
        return original(self, verdict, blamed, report)

    return changed(Doorkeeper, "process_verdict", process_verdict)


def reject_stale() -> AbstractContextManager[None]:
    original = checks.check_entry

    def check_entry(*given: Any) -> Any:
        verdict = original(*given)
        return checks._reject(verdict.reason) if verdict.reason == "stale_round" else verdict

    return changed(doorkeeper, "check_entry", check_entry)


def take_high_s() -> AbstractContextManager[None]:
    order = 2 * _HALF_ORDER + 1

    def recover(digest: bytes, signature: bytes) -> bytes:
        s = int.from_bytes(signature[32:64], "big")
        if s > _HALF_ORDER:
            low = (order - s).to_bytes(32, "big")
            signature = signature[:32] + low + bytes([55 - signature[64]])
        return crypto.recover(digest, signature)

    return changed(checks, "recover", recover)


def skip_roster_check() -> AbstractContextManager[None]:
    return changed(doorkeeper, "check_signature", lambda id_, signature, document: checks.ACCEPT)


def use_small_quorum() -> AbstractContextManager[None]:
    """Count to the quorum of the first epoch in every epoch."""
    original = Tally.merge

    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        was = original(self, member, signature, now)
        if was and self.proven_ms is None and len(self.signatures) >= 3:
            self.proven_ms = now.mono_ms
        return was

    return changed(Tally, "merge", merge)


def prove_without_proposer() -> AbstractContextManager[None]:
    """Call a report proven by whichever signatures of a message come first."""
    original = Tally.merge

    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        was = original(self, member, signature, now)
        quorum = self.document.minimum_signers
        if was and self.proven_ms is None and len(self.signatures) >= quorum:
            self.proven_ms = now.mono_ms
        return was

    return changed(Tally, "merge", merge)
