"""Our own part: propose, check then sign. Here is all that may keep us from signing.

A report that comes here was let in by the doorkeeper. What our votes are worth together with those
of others is counted in `merging`.
"""

from __future__ import annotations

from enum import Enum

from gossip_price.core import events as ev
from gossip_price.core.calendar import Calendar
from gossip_price.core.checks import is_within_deviation
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.journal_outage import JournalOutage
from gossip_price.core.merging import Merging
from gossip_price.core.observing import Observing
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports
from gossip_price.core.rounds import Round, is_over, is_too_early
from gossip_price.core.types import Now, Report
from gossip_price.core.votes import Votes


class _Decision(Enum):
    SIGN = "sign"
    WAIT = "wait"
    NEVER = "never"


class Voting:
    """Decides what we sign. `me`: our address; `birth_ms`: the wall time of the journal's birth."""

    def __init__(
        self,
        *,
        me: bytes,
        birth_ms: int,
        calendar: Calendar,
        rounds: OpenRounds,
        reports: Reports,
        votes: Votes,
        observing: Observing,
        merging: Merging,
        journal_outage: JournalOutage,
        effects: StepEffects,
    ) -> None:
        self._me = me
        self._birth_ms = birth_ms
        self._calendar = calendar
        self._rounds = rounds
        self._reports = reports
        self._votes = votes
        self._observing = observing
        self._merging = merging
        self._journal_outage = journal_outage
        self._effects = effects
        self._is_leaving = False

    def leave(self) -> None:
        """We are on the way out: sign nothing more."""
        self._is_leaving = True

    # --- propose ------------------------------------------------------------------------------

    def propose(self, round_: Round, now: Now) -> None:
        """Propose our observation when our rank's time has come and we have signed nothing."""
        observation = round_.observation
        if not round_.may_propose or observation is None:
            return
        if now.wall_ms < round_.get_rank_time_ms(self._me):
            return
        round_.may_propose = False
        document = round_.document
        if self._votes.find(round_, self._me) or self._find_obstacle(round_, now):
            return
        report = Report(
            document.hash,
            round_.pair,
            round_.start,
            observation.price,
            document.terms_by_pair[round_.pair].decimals,
            observation.observed_at,
            self._me,
        )
        id_ = report.compute_id(document.separator)
        self._merging.add(round_, Tally(id_, report, document), now)
        self._votes.bind(round_, id_, report)

    def _find_obstacle(self, round_: Round, now: Now) -> str | None:
        """Say why we may sign nothing at all of this round now; None if we may."""
        document, start = round_.document, round_.start
        if self._is_leaving:
            return "closing"
        if self._me not in document.index_by_address:
            return "listener"
        if is_too_early(document, start, now):
            return "early"
        if is_over(document, start, now) or self._calendar.is_closed(document, start, now):
            return "closed_round"
        # An empty journal does not know what an earlier life has signed in rounds before this.
        if start * 1000 < self._birth_ms + document.skew * 1000:
            return "newborn"
        if self._journal_outage.is_under_way:
            return "journal"
        return None

    # --- check, then sign ---------------------------------------------------------------------

    def decide_undecided(self, round_: Round, now: Now) -> None:
        """Sign what may be signed now; leave what never will be."""
        # Lower ranks first, whichever came first: fewer votes split.
        waiting = [round_.tallies[id_] for id_ in round_.undecided]
        for tally in sorted(waiting, key=lambda other: round_.order.index(other.report.proposer)):
            id_ = tally.id
            decision, reason = self._decide(round_, tally, now)
            if decision is _Decision.WAIT:
                continue
            del round_.undecided[id_]
            if decision is _Decision.SIGN:
                self._votes.bind(round_, id_, tally.report)
                # In `Rounds` that was our one vote: our own turn need not be waited for.
                round_.may_propose &= not self._votes.find(round_, self._me)
            elif reason not in ("signed", "listener"):
                self._effects.note_tally(NoteKind.WITHHELD, tally, reason=reason)

    def _decide(self, round_: Round, tally: Tally, now: Now) -> tuple[_Decision, str]:
        """Decide whether to sign a report that the doorkeeper let in."""
        report = tally.report
        own_index = round_.document.index_by_address.get(self._me)
        if own_index in tally.signatures or self._votes.is_unsigned(tally.id):
            return _Decision.NEVER, "signed"
        votes = self._votes.find(round_, report.proposer)
        # One report for each key, ever; signing the same one again is the same signature.
        if any(vote.id != tally.id for vote in votes):
            return _Decision.NEVER, "voted"
        obstacle = self._find_obstacle(round_, now)
        if obstacle == "closed_round" and round_.fetches and round_.observation is None:
            return _Decision.NEVER, "no_observation"
        if obstacle is not None:
            waits = obstacle in ("early", "journal")
            return (_Decision.WAIT if waits else _Decision.NEVER), obstacle
        if votes:
            return _Decision.SIGN, ""
        # By our own clock: who proposes before its turn gains nothing, who is late loses nothing.
        if now.wall_ms < round_.get_rank_time_ms(report.proposer):
            return _Decision.WAIT, "rank"
        observation = round_.observation
        if observation is not None and is_within_deviation(
            report.price, observation.price, round_.document.max_deviation
        ):
            return _Decision.SIGN, ""
        # Prices move, sources stumble: look once more before saying no.
        if round_.fetches == 1 and not round_.fetching:
            self._observing.fetch(round_)
        if observation is None:
            return _Decision.WAIT, "no_observation"
        return (_Decision.WAIT if round_.fetching else _Decision.NEVER), "deviation"

    # --- signed -------------------------------------------------------------------------------

    def process_signed(self, event: ev.Signed, now: Now) -> None:
        """Add our signature to the report for which it is, if it is one of our votes."""
        if not self._votes.take_unsigned(event.digest):
            return
        tally = self._reports.get(event.digest)
        if tally is None:
            return
        own = tally.report.proposer == self._me
        self._effects.note_tally(
            NoteKind.PROPOSED if own else NoteKind.SIGNED, tally, member=self._me
        )
        index = tally.document.index_by_address[self._me]
        self._merging.merge_own(tally, index, event.signature, now)

    def sign_again(self, now: Now) -> None:
        """The journal works again: sign what we had bound ourselves to, if it is not too late."""
        for vote in self._votes.list_unsigned():
            self._effects.remember(vote)
            round_ = self._rounds.find(vote.report.pair, vote.report.round)
            if round_ is None or self._find_obstacle(round_, now):
                continue
            self._effects.append(ev.Sign(vote.id))
