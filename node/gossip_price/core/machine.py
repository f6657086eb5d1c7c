"""The protocol of one node: an event and the time go in, effects come out. Pure.

The same state, event and now give the same effects. What a step decides, in the order of the
design: observe, propose, check then sign, merge and re-emit, heal, settle, write, be seen alive.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.audit import Audit
from gossip_price.core.backlog import Backlog
from gossip_price.core.beating import Beating
from gossip_price.core.calendar import Calendar
from gossip_price.core.catchup import Catchup, End
from gossip_price.core.checks import (
    Action,
    Verdict,
    check_entry,
    check_heartbeat,
    check_receipt,
    check_signature,
    is_within_deviation,
)
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import Effect, NoteKind
from gossip_price.core.healing import Healing
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.journal_outage import JournalOutage
from gossip_price.core.limits import (
    ASK_DEADLINE_MS,
    HEAL_PATIENCE_MS,
    HEAL_SPREAD,
    JOURNAL_AGE_S,
    OBSERVE_MAX_MS,
    OPEN_IDS_MAX,
    VARIANTS_MAX,
    WAITING_MAX,
)
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.outbox import Outbox
from gossip_price.core.presence import Presence, compute_heartbeat_interval_ms
from gossip_price.core.questions import (
    Want,
    WantNodes,
    decode_answer,
    decode_nodes,
    decode_question,
    encode_answer,
    encode_nodes,
    encode_question,
)
from gossip_price.core.quorum import Tally
from gossip_price.core.recalls import Late, Recalls, Reply
from gossip_price.core.reports import Reports, make_tally
from gossip_price.core.rounds import (
    Round,
    compute_close_ms,
    compute_jitter_ms,
    is_over,
    is_too_early,
)
from gossip_price.core.rows import LateSignature
from gossip_price.core.speaking import Speaking
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Entry, Now, Report, StoredRow
from gossip_price.core.votes import Votes
from gossip_price.core.wire import (
    UNSIGNED,
    Heartbeat,
    Receipt,
    WireError,
    decode,
    decode_open,
    encode_open,
)
from gossip_price.core.writing import Writing
from gossip_price.network.document import DAY_S, PROTOCOLS_KNOWN
from gossip_price.network.epochs import EpochChain

_HOUR_MS: Final = 3_600_000


class _Decision(Enum):
    SIGN = "sign"
    WAIT = "wait"
    NEVER = "never"


class Machine:
    """One member's (or listener's) view of the network.

    `me` is our 20-byte address; `boot_ms` the wall time at which this process started, which
    tells our heartbeats from those of an earlier life; `remembered` is what the journal held.
    `protocols` are those whose rules are known here: in another's epoch nothing is signed.

    Raises DocumentError when the chain lacks an epoch that an earlier life has known.
    """

    def __init__(
        self,
        *,
        chain: EpochChain,
        me: bytes,
        boot_ms: int,
        version: str,
        remembered: ev.Recollection,
        now: Now,
        protocols: frozenset[int] = PROTOCOLS_KNOWN,
    ) -> None:
        self._me = me
        self._birth_ms = remembered.birth_ms

        self._effects = StepEffects()
        self._agenda = Agenda()
        self._calendar = Calendar(
            chain=chain,
            me=me,
            protocols=protocols,
            remembered=remembered,
            started_ms=boot_ms,
            now=now,
            effects=self._effects,
            agenda=self._agenda,
        )
        self._rounds = OpenRounds(me)
        self._reports = Reports(self._calendar)
        self._votes = Votes(remembered.votes, self._calendar, self._effects)
        self._settling: list[tuple[int, bytes]] = []
        self._outbox = Outbox()
        self._speaking = Speaking(self._outbox, self._effects)
        self._presence = Presence()
        self._beating = Beating(
            me=me,
            boot_ms=boot_ms,
            version=version,
            remembered=remembered,
            calendar=self._calendar,
            presence=self._presence,
            now=now,
        )
        self._healing = Healing()
        self._catchup = Catchup(me)
        self._recalls = Recalls(self._effects)
        self._writing = Writing(me, self.get_writers)
        self._audit = Audit(me, self._writing, self._reports.is_unsettled, protocols)
        self._store_trouble = ""
        self._forget_ms = now.mono_ms
        self._journal_outage = JournalOutage(self._effects)
        self._closing = False
        self._restore(remembered, now)

    # --- what others may ask ------------------------------------------------------------------

    @property
    def me(self) -> bytes:
        """Our 20-byte address."""
        return self._me

    @property
    def is_journal_failing(self) -> bool:
        """The journal does not take records; nothing is signed."""
        return self._journal_outage.is_under_way

    def is_drained(self) -> bool:
        """Tell whether, after Closing, all is sent and written that can be."""
        is_empty = self._outbox.deadline_ms is None and not self._writing.is_busy()
        return self._closing and is_empty

    @property
    def unstored(self) -> int:
        """How many settled prices we have not seen written by ourselves."""
        return len(self._writing)

    def describe_backlog(self, now: Now) -> Backlog:
        """Tell what waits for signers or the database, and how long already."""
        proven_ms = [
            tally.proven_ms
            for id_ in self._reports.unsettled
            if (tally := self._reports.get(id_)) is not None and tally.proven_ms is not None
        ]
        waiting = self._writing.describe_waiting()
        oldest_ms = waiting.oldest_signed_ms
        return Backlog(
            unsettled=len(proven_ms),
            unsettled_age_ms=now.mono_ms - min(proven_ms, default=now.mono_ms),
            unstored=waiting.count,
            # The wall clock may have been set back since.
            unstored_age_ms=0 if oldest_ms is None else max(0, now.wall_ms - oldest_ms),
            stored_rounds=dict(self._writing.stored_rounds),
        )

    def count_reports(self) -> int:
        """Return how many reports are in memory, proven or not."""
        return len(self._reports)

    def find_settled(self, id_: bytes) -> ev.ProvenRecord | None:
        """Return a settled price that is in memory: all that wait to be stored, and the newest."""
        return self._reports.find_settled(id_)

    def get_writers(self, store: bytes, mono_ms: int) -> list[bytes]:
        """Return the addresses of the members whose heartbeats, still fresh, name this store."""
        document = self._calendar.get_current_then(mono_ms)
        return self._presence.get_writers(document, store, mono_ms)

    def describe_presence(self, now: Now) -> tuple[MemberPresence, ...]:
        """Return who is there and who says it hears whom: the members of the epoch in force."""
        me = self._beating.describe(self._writing.store, now)
        return self._presence.describe(self._calendar.get_current(now), me)

    @property
    def presence_changes(self) -> int:
        """A number that grows whenever heartbeats or connections have brought something new."""
        return self._presence.changes

    def list_seen(self) -> Iterable[tuple[bytes, Seen]]:
        """Give other members' newest observations, as their heartbeats name them, by address."""
        return self._presence.list_seen()

    def find_clock_problem(self, now: Now) -> str | None:
        """Say what is wrong with the clock: it is behind a round that was entered before."""
        return self._calendar.find_clock_problem(now)

    def find_protocol_problem(self, now: Now) -> str | None:
        """Say that the epoch in force follows rules that we do not know."""
        return self._calendar.find_protocol_problem(now)

    def get_deadline_ms(self, now: Now) -> int:
        """Return the monotonic time at which a Tick is due, if nothing happens before."""
        if not self._agenda.due_ms:
            self._agenda.due_ms = self._compute_due_ms(now)
        return self._agenda.due_ms

    def _compute_due_ms(self, now: Now) -> int:
        offset = now.wall_ms - now.mono_ms
        deadlines = (
            self._beating.get_deadline_ms(is_settled=not self._reports.unsettled),
            self._agenda.round_due_ms - offset,
            self._outbox.deadline_ms,
            self._writing.get_deadline_ms(),
            self._audit.get_deadline_ms(is_free=self._may_audit(now)),
            None if self._closing else self._healing.get_deadline_ms(),
            None if self._closing else self._catchup.get_deadline_ms(),
            self._settling[0][0] if self._settling and not self._closing else None,
            self._journal_outage.get_deadline_ms(),
        )
        return min(deadline for deadline in deadlines if deadline is not None)

    # --- the step -----------------------------------------------------------------------------

    def step(self, event: ev.Event, now: Now) -> list[Effect]:  # noqa: PLR0912  # a table of events
        """Advance by one event; return what shall be done."""
        self._calendar.process_clock(now)
        # Most of what comes is heartbeats that tell nothing new: these leave all as it was.
        if not isinstance(event, ev.Received | ev.PeersChanged | ev.Tick):
            self._agenda.look_at_rounds()
        match event:
            case ev.Received():
                self._process_message(event, now)
            case ev.Signed():
                self._process_signed(event, now)
            case ev.Observed():
                self._process_observation(event)
            case ev.NotObserved():
                self._process_no_observation(event)
            case ev.Stored():
                self._process_stored(event, now)
            case ev.StoreRefused():
                self._process_refused(event, now)
            case (
                ev.RangeRecalled()
                | ev.RowsRead()
                | ev.Corrected()
                | ev.SignaturesAdded()
                | ev.AuditFailed()
            ):
                self._effects.extend(self._audit.process(event, self._calendar.chain, now))
            case ev.StoreUp():
                self._process_store_up(event, now)
            case ev.StoreDown():
                self._process_store_down(event, now)
            case ev.JournalFailed():
                self._process_journal_failed(event, now)
            case ev.JournalRecovered():
                self._process_journal_recovered(now)
            case ev.Asked():
                self._process_question(event, now)
            case ev.Answered():
                self._process_answer(event, now)
            case ev.AskFailed():
                self._process_ask_failed(event, now)
            case ev.Recalled():
                self._process_recalled(event, now)
            case ev.PeersChanged():
                self._presence.process_peers(event.peers)
            case ev.NetworkChanged():
                self._process_network(event)
            case ev.Closing():
                self._closing = True
                self._beating.leave()
                self._writing.hurry(now.mono_ms)
            case ev.Tick():
                pass
        if now.mono_ms >= self._agenda.due_ms:
            self._agenda.look_again()
            self._advance(now)
        return self._effects.take()

    def _advance(self, now: Now) -> None:
        """Do whatever is due."""
        if now.wall_ms >= self._agenda.round_due_ms:
            self._look_at_rounds(now)
        self._heal(now)
        self._catch_up(now)
        self._settle(now)
        self._write(now)
        self._effects.extend(self._audit.advance(now, is_free=self._may_audit(now)))
        self._beat(now)
        if self._journal_outage.take_retry(now.mono_ms):
            # Any record does: the engine says JournalRecovered when one was taken.
            self._calendar.remember_round()
        if self._closing:
            self._outbox.hurry(now.mono_ms)
        self._speaking.publish(self._reports.get_entry, now)

    def _look_at_rounds(self, now: Now) -> None:
        self._enter_round(now)
        for round_ in self._rounds.list_all():
            self._observe(round_, now)
            self._propose(round_, now)
            self._decide_undecided(round_, now)
            self._close(round_, now)
        self._agenda.round_due_ms = self._rounds.compute_due_ms(
            self._calendar.compute_next_round_ms(now), now
        )

    # --- time ---------------------------------------------------------------------------------

    def _enter_round(self, now: Now) -> None:
        """Begin what is to be done in the round that our clock has entered."""
        entered = self._calendar.enter_round(now)
        if entered is None:
            return
        if self._calendar.knows_rules(entered.document):
            self._rounds.enter(entered)
        if now.mono_ms >= self._forget_ms:
            self._forget(now)

    def _forget(self, now: Now) -> None:
        wall_s = now.wall_ms // 1000
        self._forget_ms = now.mono_ms + _HOUR_MS
        self._effects.remember(ev.Forget(wall_s - JOURNAL_AGE_S))
        oldest = self._calendar.highest - 10 * max(
            document.interval for document in self._calendar.chain.documents
        )
        self._votes.forget_before(oldest)
        live = self._calendar.chain.list_live(wall_s)
        self._presence.forget_all_but(
            frozenset(address for document in live for address in document.addresses),
            frozenset(terms.pair for document in live for terms in document.pairs),
        )
        peers = frozenset(member.peer_id for document in live for member in document.members)
        self._healing.forget_all_but(peers)
        self._catchup.forget_all_but(peers)

    # --- epochs -------------------------------------------------------------------------------

    def _process_network(self, event: ev.NetworkChanged) -> None:
        """Take up the epochs that the network file names now, if they go on where ours end."""
        start = self._calendar.process_network(event.chain)
        if start is None:
            return
        for round_ in self._rounds.list_all():
            if round_.start >= start:
                self._rebind(round_)

    def _rebind(self, round_: Round) -> None:
        """Give up a round that we began under an epoch not in force for it; see it as it is.

        What is proven is kept, votes bind us as before, and what we saw is still what we saw.
        """
        self._give_up(round_)
        document = self._calendar.chain.get_in_force(round_.start)
        if document is None or not self._calendar.knows_rules(document):
            return
        terms = document.terms_by_pair.get(round_.pair)
        if terms != round_.document.terms_by_pair[round_.pair]:
            return
        seen = round_.observation
        if document.get_round(seen.observed_at if seen else round_.start) == round_.start:
            anew = self._rounds.get(document, round_.pair, round_.start)
            anew.observation, anew.fetching, anew.fetches = seen, round_.fetching, round_.fetches

    # --- observe ------------------------------------------------------------------------------

    def _observe(self, round_: Round, now: Now) -> None:
        """Fetch once at the round's start, so that members compare prices of one moment."""
        if round_.observe_wall_ms is None or round_.fetches or now.wall_ms < round_.observe_wall_ms:
            return
        self._fetch(round_)

    def _fetch(self, round_: Round) -> None:
        document = round_.document
        round_.fetching = True
        round_.fetches += 1
        deadline_ms = min(OBSERVE_MAX_MS, document.interval * 500)
        terms = document.terms_by_pair[round_.pair]
        self._effects.append(ev.Fetch(terms, round_.start, deadline_ms))

    def _process_observation(self, event: ev.Observed) -> None:
        observation = event.observation
        round_ = self._rounds.find(observation.pair, event.round)
        if round_ is None:
            return
        round_.fetching = False
        if round_.document.get_round(observation.observed_at) != event.round:
            # It took until the next round: a price of another moment.
            self._process_no_observation(ev.NotObserved(round_.pair, round_.start, "late"))
            return
        terms = round_.document.terms_by_pair[round_.pair]
        if not terms.min_price <= observation.price <= terms.max_price:
            # Everybody would reject our report, and hold it against us.
            self._process_no_observation(ev.NotObserved(round_.pair, round_.start, "price_range"))
            return
        round_.observation = observation
        self._presence.process_observation(Seen(round_.pair, round_.start, observation.price))
        self._effects.note(
            NoteKind.OBSERVED,
            pair=round_.pair,
            round=round_.start,
            price=observation.price,
            decimals=terms.decimals,
            count=len(observation.sources),
        )

    def _process_no_observation(self, event: ev.NotObserved) -> None:
        round_ = self._rounds.find(event.pair, event.round)
        if round_ is not None:
            round_.fetching = False
        self._effects.note(
            NoteKind.NOT_OBSERVED, pair=event.pair, round=event.round, reason=event.reason
        )

    # --- propose ------------------------------------------------------------------------------

    def _propose(self, round_: Round, now: Now) -> None:
        """Propose our observation when our rank's time has come and we have signed nothing."""
        observation = round_.observation
        if not round_.may_propose or observation is None:
            return
        if now.wall_ms < round_.get_rank_time_ms(self._me):
            return
        round_.may_propose = False
        document = round_.document
        if self._votes.find(round_, self._me) or self._find_signing_obstacle(round_, now):
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
        self._add_tally(round_, Tally(id_, report, document), now)
        self._votes.bind(round_, id_, report)

    def _find_signing_obstacle(self, round_: Round, now: Now) -> str | None:
        """Say why we may sign nothing at all of this round now; None if we may."""
        document, start = round_.document, round_.start
        if self._closing:
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
        if self.is_journal_failing:
            return "journal"
        return None

    def _process_signed(self, event: ev.Signed, now: Now) -> None:
        self._speaking.process_signed(event, now.mono_ms)
        if not self._votes.take_unsigned(event.digest):
            return
        tally = self._reports.get(event.digest)
        if tally is None:
            return
        own = tally.report.proposer == self._me
        self._effects.note_tally(
            NoteKind.PROPOSED if own else NoteKind.SIGNED, tally, member=self._me
        )
        self._merge(tally, tally.document.index_by_address[self._me], event.signature, now)
        # Nothing is passed on that its proposer has not signed.
        self._outbox.add_entry(tally.id, now.mono_ms)

    # --- check, then sign ---------------------------------------------------------------------

    def _decide_undecided(self, round_: Round, now: Now) -> None:
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
        obstacle = self._find_signing_obstacle(round_, now)
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
            self._fetch(round_)
        if observation is None:
            return _Decision.WAIT, "no_observation"
        return (_Decision.WAIT if round_.fetching else _Decision.NEVER), "deviation"

    # --- merge and re-emit --------------------------------------------------------------------

    def _process_message(self, event: ev.Received, now: Now) -> None:
        self._outbox.count_message(now.mono_ms)
        speaker = self._calendar.chain.find_peer_address(event.author, now.wall_ms // 1000)
        if speaker is not None:
            self._presence.count_message(speaker)
        try:
            envelope = decode(event.data)
        except WireError as error:
            action = Action.IGNORE if error.reason == "version" else Action.REJECT
            self._process_verdict(Verdict(action, error.reason), event.author)
            return
        for entry in envelope.entries:
            verdict = self._process_entry(entry, now)
            if not self._process_verdict(verdict, event.author, entry.report):
                return
        for heartbeat in envelope.heartbeats:
            verdict = check_heartbeat(heartbeat, self._calendar.chain, event.author, now)
            if verdict.action is Action.ACCEPT:
                self._process_heartbeat(heartbeat, event.author, now)
            if not self._process_verdict(verdict, event.author):
                return
        for receipt in envelope.receipts:
            verdict = check_receipt(receipt, self._calendar.chain, event.author, now)
            if verdict.action is Action.ACCEPT:
                self._agenda.look_again()
                self._process_receipt(receipt, now)
            if not self._process_verdict(verdict, event.author):
                return

    def _process_heartbeat(self, heartbeat: Heartbeat, author: str, now: Now) -> None:
        document = self._calendar.chain.find(heartbeat.epoch)
        if document is None or not self._presence.process_heartbeat(heartbeat, document, now):
            return
        self._process_open(heartbeat, author, now)
        self._reports.close_rounds(now)
        if self._catchup.process_roots(author, heartbeat.roots, self._reports.forest, now.mono_ms):
            self._agenda.look_again()

    def _process_verdict(self, verdict: Verdict, author: str, report: Report | None = None) -> bool:
        """Tell of what was not accepted; cut off who cannot have sent it in good faith.

        Return False after a rejection: what else a liar put into the message is not worth the
        curve operations.
        """
        if verdict.action is Action.ACCEPT:
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

    def _process_entry(self, entry: Entry, now: Now) -> Verdict:
        report = entry.report
        document = self._calendar.chain.find(report.epoch)
        # [ignore] what its signatures stand for is told by rules that we do not know
        if document is not None and not self._calendar.knows_rules(document):
            return Verdict(Action.IGNORE, "unknown_protocol")
        verdict = check_entry(entry, document, self._calendar.chain, now)
        if verdict.action is not Action.ACCEPT or document is None:
            return verdict
        id_ = report.compute_id(document.separator)
        tally = self._reports.get(id_)
        known = tally.signer_bits if tally is not None else self._reports.forest.get_bits(id_)
        unseen = [signature for signature in entry.signatures if not known >> signature.member & 1]
        if not known and len(unseen) < document.minimum_signers:
            variants = [
                other
                for other in self._rounds.get(document, report.pair, report.round).tallies.values()
                if other.report.proposer == report.proposer
            ]
            # [ignore] a flood of reports by one proposer for one round
            if len(variants) >= VARIANTS_MAX:
                return Verdict(Action.IGNORE, "too_many_variants")
        # Curve operations last, and only for signers that we have not seen.
        for signature in unseen:
            verdict = check_signature(id_, signature, document)
            if verdict.action is not Action.ACCEPT:
                return verdict
        if tally is None and known:
            # Proven long ago, and in the journal alone: what is known there must not be lost.
            if unseen:
                self._recalls.begin((id_,), Late(tuple(unseen)))
            return verdict
        if tally is None:
            tally = Tally(id_, report, document)
            self._take_in(tally, now)
        for signature in unseen:
            self._merge(tally, signature.member, signature.signature, now)
        round_ = self._rounds.find(report.pair, report.round)
        # One more signer changes nothing of a round in which all is decided.
        if round_ is not None and round_.undecided:
            self._agenda.look_at_rounds()
        return verdict

    def _take_in(self, tally: Tally, now: Now) -> None:
        """Keep what the doorkeeper let in, where it belongs."""
        self._agenda.look_at_rounds()
        document, report = tally.document, tally.report
        is_past = now.wall_ms >= compute_close_ms(document, report.round)
        if is_past and self._rounds.find(report.pair, report.round) is None:
            # Proven, of a round that was given up long ago: nothing of it is signed or awaited.
            self._reports.add(tally)
        elif self._calendar.chain.get_in_force(report.round) is document:
            self._add_tally(self._rounds.get(document, report.pair, report.round), tally, now)
        else:
            self._add_foreign(tally, now)

    def _add_tally(self, round_: Round, tally: Tally, now: Now) -> None:
        proposer = tally.report.proposer
        if any(other.report.proposer == proposer for other in round_.tallies.values()):
            self._effects.note_tally(NoteKind.EQUIVOCATION, tally, member=proposer)
        self._reports.add(tally)
        round_.tallies[tally.id] = tally
        round_.undecided[tally.id] = None
        self._await_settling(tally, now)

    def _await_settling(self, tally: Tally, now: Now) -> None:
        self._beating.process_price(now, is_first=not self._reports.unsettled)
        self._reports.unsettled.add(tally.id)

    def _add_foreign(self, tally: Tally, now: Now) -> None:
        """Keep what laggards have proven under the epoch before: nothing else of it will come."""
        self._reports.add(tally)
        self._await_settling(tally, now)
        round_ = self._rounds.find(tally.report.pair, tally.report.round)
        if round_ is not None:
            round_.is_expected = False  # it has its price, if by another epoch

    def _merge(self, tally: Tally, member: int, signature: bytes, now: Now) -> None:
        was_proven = tally.is_proven
        if not tally.merge(member, signature, now):
            return
        self._effects.note_tally(NoteKind.COSIGNED, tally, member=tally.document.addresses[member])
        if not tally.is_proven:
            return
        self._reports.forest.add(tally.id, tally.report.round, tally.signer_bits)
        if not was_proven:
            is_live = self._rounds.find(tally.report.pair, tally.report.round) is not None
            elapsed_ms = now.wall_ms - tally.report.round * 1000 if is_live else 0
            self._effects.note_tally(NoteKind.PROVEN, tally, ms=max(0, elapsed_ms))
        if tally.is_settled:
            # The row stays as it was at settlement; the late signature is kept beside it.
            self._agenda.look_again()
            self._remember_proven(tally)
            late = LateSignature(tally.id, tally.document.addresses[member], signature)
            if self._calendar.may_write(now):
                self._audit.add_late(late, tally.report.round, now.mono_ms)
            return
        if not was_proven:
            self._remember_proven(tally)
        settles_ms = tally.settles_ms
        if settles_ms is not None:
            heappush(self._settling, (settles_ms, tally.id))
            self._agenda.due_ms = min(self._agenda.due_ms, settles_ms)

    def _close(self, round_: Round, now: Now) -> None:
        """Give up what was not proven; tell why, once."""
        if now.wall_ms < round_.close_ms:
            return
        unproven = self._give_up(round_)
        if round_.is_expected and len(unproven) == len(round_.tallies):
            best = max((len(tally.signatures) for tally in unproven), default=0)
            reason = "split" if len(unproven) > 1 else "short" if unproven else "no_proposal"
            self._effects.note(
                NoteKind.ROUND_LOST,
                pair=round_.pair,
                round=round_.start,
                count=best,
                needed=round_.document.minimum_signers,
                reason=reason,
            )

    def _give_up(self, round_: Round) -> list[Tally]:
        """Forget a round but for what is proven; return what is not."""
        self._rounds.drop(round_)
        unproven = [tally for tally in round_.tallies.values() if not tally.is_proven]
        for tally in round_.tallies.values():
            self._votes.take_unsigned(tally.id)
        for tally in unproven:
            self._reports.drop(tally)
        return unproven

    # --- heal ---------------------------------------------------------------------------------

    def _list_open(self) -> list[Tally]:
        """Return what others may heal from us, newest first: of open rounds, and not settled yet.

        When it is more than a heartbeat takes, each names the next window of it.
        """
        tallies = {id_: tally for round_ in self._rounds.list_all()
                   for id_, tally in round_.tallies.items()}  # fmt: skip
        for _, id_ in self._settling:
            tally = self._reports.get(id_)
            # Of what has settled, or is of a closed round, the trees tell.
            if tally is not None and not tally.is_settled and not tally.is_caught_up:
                tallies[id_] = tally
        open_ = [tally for tally in tallies.values() if tally.is_open]
        open_.sort(key=lambda tally: (-tally.report.round, tally.id))
        if len(open_) > OPEN_IDS_MAX:
            first = self._beating.sequence * OPEN_IDS_MAX % len(open_)
            open_ = (open_[first:] + open_[:first])[:OPEN_IDS_MAX]
        return open_

    def _process_open(self, heartbeat: Heartbeat, author: str, now: Now) -> None:
        """Somebody names what it has: note what we lack, to be asked for if gossip is no quicker.

        Gossip that is on its way to us may have waited for company twice.
        """
        claims = {
            id_: bits
            for id_, bits in decode_open(heartbeat.open).items()
            if self._reports.find_missing(id_, bits)
        }
        if not claims and not self._healing.has_claims(author):
            return
        self._agenda.look_again()
        members = self._calendar.get_current(now).members
        interval_ms = compute_heartbeat_interval_ms(len(members))
        patience_ms = HEAL_PATIENCE_MS + 2 * self._outbox.compute_linger_ms(now.mono_ms)
        patience_ms += compute_jitter_ms(
            self._me, heartbeat.sequence, int(interval_ms * HEAL_SPREAD)
        )
        self._healing.process_claims(author, claims, now.mono_ms + patience_ms)

    def _heal(self, now: Now) -> None:
        """Ask for what we still lack."""
        if self._closing:
            return
        while question := self._healing.take_question(
            self._reports.find_missing, now.mono_ms, self._catchup.is_asking
        ):
            peer, ids = question
            self._effects.append(ev.Ask(peer, encode_question(Want(ids)), ASK_DEADLINE_MS))
            self._effects.note(NoteKind.ASKED, count=len(ids), author=peer)

    # --- catch up -----------------------------------------------------------------------------

    def _catch_up(self, now: Now) -> None:
        """Ask for what our trees lack beside those of peers that have differed for long."""
        if self._closing:
            return
        while taken := self._catchup.take_question(
            self._reports.forest, self._reports.find_missing, self._is_healing_with, now.mono_ms
        ):
            if isinstance(taken, End):
                self._note_end(taken)
                continue
            peer, question = taken
            self._effects.append(ev.Ask(peer, encode_question(question), ASK_DEADLINE_MS))
            count = len(question.ids if isinstance(question, Want) else question.nodes)
            self._effects.note(NoteKind.ASKED, count=count, author=peer)

    def _is_healing_with(self, peer: str) -> bool:
        return bool(self._healing.get_question(peer))

    def _note_end(self, end: End | None) -> None:
        if end is not None and end.gained:
            self._effects.note(
                NoteKind.CAUGHT_UP, round=end.day * DAY_S, count=end.gained, author=end.peer
            )

    # --- questions and answers ----------------------------------------------------------------

    def _process_question(self, event: ev.Asked, now: Now) -> None:
        """Give what we have of what a peer asks for. The connection has proven who it is."""
        data = b""
        try:
            question = decode_question(event.data)
        except WireError as error:
            self._process_verdict(Verdict(Action.REJECT, error.reason), event.peer)
        else:
            if not self._healing.may_answer(event.peer, now.mono_ms):
                verdict = Verdict(Action.IGNORE, "too_many_questions")
                self._process_verdict(verdict, event.peer)
            elif isinstance(question, WantNodes):
                tree = self._reports.forest.get_tree(question.day)
                nodes = [tree.find_node(*node) if tree else b"" for node in question.nodes]
                data = encode_nodes(nodes)
                self._effects.note(NoteKind.ANSWERED, count=len(nodes), author=event.peer)
            else:
                reply = Reply(event.token, event.peer, question.ids)
                older = tuple(
                    id_ for id_ in reply.ids
                    if self._reports.is_in_journal_alone(id_)
                )  # fmt: skip
                if older:
                    self._recalls.begin(older, reply)
                else:
                    self._answer(reply, {})
                return
        self._effects.append(ev.Answer(event.token, data))

    def _answer(self, reply: Reply, recalled: dict[bytes, ev.ProvenRecord]) -> None:
        entries: list[Entry] = []
        for id_ in reply.ids:
            tally = self._reports.get(id_)
            if tally is not None and tally.is_open:
                entries.append(tally.to_entry())
            elif id_ in recalled:
                entries.append(recalled[id_].entry)
        self._effects.append(ev.Answer(reply.token, encode_answer(entries)))
        self._effects.note(NoteKind.ANSWERED, count=len(entries), author=reply.peer)

    def _process_recalled(self, event: ev.Recalled, now: Now) -> None:
        """The journal has given what it holds of ids that are no more in memory."""
        what_for = self._recalls.take(event.token)
        if isinstance(what_for, Reply):
            self._answer(what_for, {record.id: record for record in event.records})
        elif isinstance(what_for, Late):
            for record in event.records:
                tally = self._reports.get(record.id) or self._reports.take_back(record, now)
                if tally is None:
                    continue
                for signature in what_for.signatures:
                    self._merge(tally, signature.member, signature.signature, now)

    def _process_answer(self, event: ev.Answered, now: Now) -> None:
        """Take what we asked for as if it had come by gossip, and hold it against who gave it.

        An honest node has checked what it gives: there is nobody else to blame.
        """
        walked = self._catchup.get_question(event.peer)
        wanted = self._healing.get_question(event.peer)
        if isinstance(walked, WantNodes):
            self._process_nodes(event, now)
        elif walked is not None:
            self._process_entries(event, frozenset(walked.ids), now)
        elif wanted:  # else it was asked by an earlier life
            self._process_entries(event, wanted, now)

    def _process_nodes(self, event: ev.Answered, now: Now) -> None:
        try:
            nodes = decode_nodes(event.data).nodes
        except WireError as error:
            reason = error.reason
        else:
            reason = self._catchup.process_nodes(
                event.peer, nodes, self._reports.forest, self._reports.find_missing, now.mono_ms
            )
        if reason:
            self._process_verdict(Verdict(Action.REJECT, reason), event.peer)
            self._fail_question(event.peer, now, is_its_own=True)

    def _process_entries(self, event: ev.Answered, wanted: frozenset[bytes], now: Now) -> None:
        walked = self._catchup.get_question(event.peer) is not None
        given: dict[bytes, int] = {}
        gained = 0
        try:
            gift = decode_answer(event.data)
        except WireError as error:
            self._process_verdict(Verdict(Action.REJECT, error.reason), event.peer)
            self._fail_question(event.peer, now, is_its_own=True)
            return
        for entry in gift.entries:
            id_ = entry.report.compute_id(self._calendar.chain.separator)
            bits = sum(1 << signature.member for signature in entry.signatures)
            is_news = bool(self._reports.find_missing(id_, bits))
            is_new = id_ not in self._reports and not self._reports.forest.get_bits(id_)
            # [reject] what we did not ask for, or the same again
            if id_ not in wanted or id_ in given:
                verdict = Verdict(Action.REJECT, "unasked")
            else:
                verdict = self._process_entry(entry, now)
            if not self._process_verdict(verdict, event.peer, entry.report):
                break
            given[id_] = bits
            tally = self._reports.get(id_)
            if verdict.action is not Action.ACCEPT or not is_news:
                continue
            gained += 1
            if not walked and tally is not None:
                self._effects.note_tally(NoteKind.HEALED, tally, author=event.peer)
            elif is_new and tally is not None and entry.report.round < self._reports.forest.cut:
                tally.is_caught_up = True
        if walked:
            self._note_end(self._catchup.process_entries(event.peer, gained, now.mono_ms))
        else:
            self._healing.process_answer(event.peer, given, now.mono_ms)

    def _process_ask_failed(self, event: ev.AskFailed, now: Now) -> None:
        if not self._is_healing_with(event.peer) and not self._catchup.get_question(event.peer):
            return
        self._effects.note(NoteKind.UNANSWERED, reason=event.reason, author=event.peer)
        # Whom we have no connection to is no worse for it.
        self._fail_question(event.peer, now, is_its_own=event.reason != "unconnected")
        if event.reason == "too_large":
            self._effects.append(ev.Penalize(event.peer, event.reason))

    def _fail_question(self, peer: str, now: Now, *, is_its_own: bool) -> None:
        """Leave off asking a peer that gave no answer or a lie."""
        if self._is_healing_with(peer):
            self._healing.process_failure(peer, now.mono_ms, is_its_own=is_its_own)
        else:
            self._note_end(self._catchup.process_failure(peer, now.mono_ms, is_its_own=is_its_own))

    # --- settle and store ---------------------------------------------------------------------

    def _settle(self, now: Now) -> None:
        if self._closing:
            return  # the others write it, or our next life does
        while self._settling and self._settling[0][0] <= now.mono_ms:
            due_ms, id_ = heappop(self._settling)
            tally = self._reports.get(id_)
            if tally is None or tally.is_settled or tally.settles_ms != due_ms:
                continue
            tally.is_settled = True
            self._reports.unsettled.discard(id_)
            self._attach_observation(tally)
            if len(tally.signatures) > tally.document.minimum_signers:
                self._remember_proven(tally)
            self._effects.note_tally(NoteKind.SETTLED, tally, ms=now.mono_ms - tally.last_signer_ms)
            if not self._calendar.may_write(now, tally.document):
                self._reports.finish(id_)
            elif len(self._writing) >= WAITING_MAX:
                # It stays in the journal and is taken up at the next start.
                self._effects.note_tally(NoteKind.POISON, tally, reason="too_many_waiting")
                self._reports.finish(id_)
            else:
                # What a peer had of a closed round is stored most likely: only to be looked after.
                self._writing.add(
                    self._make_row(tally), now, vouched=tally.vouched, trusted=tally.is_caught_up
                )
                if tally.is_caught_up:
                    self._effects.remember(ev.StoredRecord(id_, confirmed=False))

    def _attach_observation(self, tally: Tally) -> None:
        """Keep with the report what we observed ourselves, which goes when the round closes."""
        observation = self._rounds.find_observation(tally.report.pair, tally.report.round)
        if observation is not None:
            tally.observed = (observation.sources, observation.spread_bp)

    def _make_row(self, tally: Tally) -> StoredRow:
        sources, spread_bp = tally.observed
        return StoredRow(
            id=tally.id,
            report=tally.report,
            signatures=tally.get_signers(),
            last_signed_ms=tally.last_signed_wall_ms,
            sources=sources,
            spread_bp=spread_bp,
            writer=self._me,
        )

    def _may_audit(self, now: Now) -> bool:
        """No read while a write is under way, while the journal fails, or on the way out."""
        is_well = not self.is_journal_failing and not self._closing
        return is_well and self._writing.is_idle and self._calendar.may_write(now)

    def _write(self, now: Now) -> None:
        rows = self._writing.take_batch(now)
        if rows:
            self._effects.append(ev.Write(rows))

    def _process_stored(self, event: ev.Stored, now: Now) -> None:
        inserted = set(event.inserted)
        rows, news = self._writing.process_written(event.ids)
        for row in rows:
            self._effects.remember(ev.StoredRecord(row.id, confirmed=True))
            tally = self._reports.get(row.id)
            if tally is None or self._reports.is_finished(row.id):
                if row.id in inserted:
                    self._effects.note(NoteKind.RESTORED, id=row.id, round=row.report.round)
                continue
            if row.id in inserted:
                elapsed = now.mono_ms - tally.last_signer_ms
                self._effects.note_tally(
                    NoteKind.STORED, tally, member=self._me, count=len(row.signatures), ms=elapsed
                )
            self._reports.finish(row.id)
        store = self._writing.store
        if store is not None and news:
            receipt = Receipt(self._me, store, max(0, now.wall_ms), news, UNSIGNED)
            self._speaking.say(receipt, self._calendar.chain.separator)

    def _process_refused(self, event: ev.StoreRefused, now: Now) -> None:
        poison = self._writing.process_refused(event.ids, now.mono_ms)
        if poison is not None:
            tally = self._reports.get(poison)
            if tally is not None:
                self._effects.note_tally(NoteKind.POISON, tally, reason=event.reason)
            else:
                self._effects.note(NoteKind.POISON, id=poison, reason=event.reason)

    def _process_receipt(self, receipt: Receipt, now: Now) -> None:
        """Somebody says that these ids are written: wait, and look again later."""
        if self._writing.store not in (None, receipt.store) or receipt.writer == self._me:
            return
        for id_ in receipt.ids:
            tally = self._reports.get(id_)
            if tally is None:
                continue
            if self._writing.process_receipt(id_, receipt.store, now.mono_ms):
                self._effects.remember(ev.StoredRecord(id_, confirmed=False))
            elif not tally.is_settled:
                tally.vouched = receipt.store
            self._writing.mark_stored(tally.report)
            self._effects.note_tally(NoteKind.RECEIPT, tally, member=receipt.writer)

    def _process_store_up(self, event: ev.StoreUp, now: Now) -> None:
        self._writing.process_up(event.store, now)
        self._audit.process_up(event.store, now)
        self._beating.hurry(now.mono_ms)
        self._effects.note(NoteKind.STORE_UP, id=event.store)

    def _process_store_down(self, event: ev.StoreDown, now: Now) -> None:
        # The failed write and the connection's watcher both tell of the same trouble.
        is_news = self._writing.store is not None or event.reason != self._store_trouble
        if self._writing.store is not None:
            self._beating.hurry(now.mono_ms)
        self._writing.process_down()
        self._audit.process_down()
        self._store_trouble = event.reason
        if is_news:
            self._effects.note(NoteKind.STORE_DOWN, reason=event.reason)

    # --- journal ------------------------------------------------------------------------------

    def _remember_proven(self, tally: Tally) -> None:
        self._attach_observation(tally)
        self._effects.remember(tally.to_record())

    def _process_journal_failed(self, event: ev.JournalFailed, now: Now) -> None:
        self._journal_outage.process_failed(event.reason, now.mono_ms)
        self._speaking.forget_unsigned()

    def _process_journal_recovered(self, now: Now) -> None:
        """Write again what the journal missed, and sign what we had bound ourselves to."""
        self._journal_outage.process_recovered()
        self._calendar.remember()
        for tally in self._reports:
            if tally.is_proven:
                self._remember_proven(tally)
        for vote in self._votes.list_unsigned():
            self._effects.remember(vote)
            round_ = self._rounds.find(vote.report.pair, vote.report.round)
            if round_ is None or self._find_signing_obstacle(round_, now):
                continue
            self._effects.append(ev.Sign(vote.id))

    def _restore(self, remembered: ev.Recollection, now: Now) -> None:
        """Take up what an earlier life of this process has proven and promised."""
        stored = {record.id: record.confirmed for record in remembered.stored}
        for record in remembered.proven:
            report = record.entry.report
            document = self._calendar.chain.find(report.epoch)
            if document is None:
                continue
            tally = make_tally(record, document, now)
            if tally.settles_ms is None:
                continue
            self._reports.forest.add(tally.id, report.round, tally.signer_bits)
            self._reports.add(tally)
            confirmed = stored.get(tally.id)
            if confirmed is None:
                # How long it had waited is not known to this process's clock: it waits anew.
                heappush(self._settling, (tally.settles_ms, tally.id))
                self._reports.unsettled.add(tally.id)
                continue
            tally.is_settled = True
            self._writing.mark_stored(report)
            if confirmed:
                self._reports.finish(tally.id)
            else:
                self._writing.add(self._make_row(tally), now, trusted=True)

    # --- be seen alive ------------------------------------------------------------------------

    def _beat(self, now: Now) -> None:
        document = self._beating.begin(now, is_settled=not self._reports.unsettled)
        if document is None:
            return
        self._reports.close_rounds(now)
        heartbeat = self._beating.make_heartbeat(
            document,
            self._writing.store,
            encode_open((tally.id, tally.signer_bits) for tally in self._list_open()),
            self._reports.forest.encode_roots(),
            now,
        )
        self._speaking.say(heartbeat, self._calendar.chain.separator)
