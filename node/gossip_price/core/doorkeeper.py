"""The door: what may come in, by gossip or as an answer, and what becomes of who sent the rest.

`checks` judges an entry by itself; here it is judged beside what we know already. Remembers only
afterwards.
"""

from __future__ import annotations

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.calendar import Calendar
from gossip_price.core.checks import ACCEPT, Action, Verdict, check_entry, check_signature
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import VARIANTS_MAX
from gossip_price.core.merging import Merging
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.quorum import Tally, read_signers
from gossip_price.core.recalls import Late, Recalls
from gossip_price.core.reports import Reports
from gossip_price.core.types import Entry, Now, Report


class Doorkeeper:
    """Lets entries in, and cuts off who sends what nobody can send in good faith."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        rounds: OpenRounds,
        reports: Reports,
        merging: Merging,
        recalls: Recalls,
        effects: StepEffects,
        agenda: Agenda,
    ) -> None:
        self._calendar = calendar
        self._rounds = rounds
        self._reports = reports
        self._merging = merging
        self._recalls = recalls
        self._effects = effects
        self._agenda = agenda

    def process_entry(self, entry: Entry, now: Now) -> Verdict:
        """Check an entry, and merge what is new of it if it is accepted."""
        report = entry.report
        document = self._calendar.chain.find(report.epoch)
        # [ignore] what its signatures stand for is told by rules that we do not know
        if document is not None and not self._calendar.knows_rules(document):
            return Verdict(Action.IGNORE, "unknown_protocol")
        verdict = check_entry(entry, document, self._calendar.chain, now)
        if verdict is not ACCEPT or document is None:
            return verdict
        id_ = report.compute_id(document.separator)
        tally = self._reports.get(id_)
        known = self._reports.forest.get_bits(id_) if tally is None else tally.signer_bits
        claimed = read_signers(entry)
        news = claimed.bits & ~known
        unseen = claimed.pick(news) if news else []
        if not known and len(unseen) < document.minimum_signers:
            round_ = self._rounds.get(document, report.pair, report.round)
            variants = [
                other
                for other in round_.tallies.values()
                if other.report.proposer == report.proposer
            ]
            # [ignore] a flood of reports by one proposer for one round
            if len(variants) >= VARIANTS_MAX:
                return Verdict(Action.IGNORE, "too_many_variants")
        # Curve operations last, and only for signers that we have not seen.
        for signature in unseen:
            verdict = check_signature(id_, signature, document)
            if verdict is not ACCEPT:
                return verdict
        if tally is None and known:
            # Proven long ago, and in the journal alone: what is known there must not be lost.
            if unseen:
                self._recalls.begin((id_,), Late(tuple(unseen)))
            return verdict
        if tally is None:
            tally = Tally(id_, report, document)
            self._merging.take_in(tally, now)
        for signature in unseen:
            self._merging.merge(tally, signature.member, signature.signature, now)
        open_round = self._rounds.find(report.pair, report.round)
        # One more signer changes nothing of a round in which all is decided.
        if open_round is not None and open_round.undecided:
            self._agenda.look_at_rounds()
        return verdict

    def process_verdict(self, verdict: Verdict, author: str, report: Report | None = None) -> bool:
        """Tell of what was not accepted; cut off who cannot have sent it in good faith.

        Return False after a rejection: what else a liar put into the message is not worth the
        curve operations.
        """
        if verdict is ACCEPT:
            return True
        rejected = verdict.action is Action.REJECT
        self._effects.note(
            NoteKind.REJECTED if rejected else NoteKind.IGNORED,
            pair=report.pair if report else "",
            round=report.round if report else 0,
            reason=verdict.reason,
            author=author,
        )
        if rejected:
            self._effects.append(ev.Penalize(author, verdict.reason))
        return not rejected

    def reject(self, reason: str, author: str) -> None:
        """Tell of something that its author cannot have sent in good faith, and cut it off."""
        self.process_verdict(Verdict(Action.REJECT, reason), author)
