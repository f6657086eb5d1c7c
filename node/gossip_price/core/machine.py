"""The protocol of one node: an event and the time go in, effects come out. Pure.

The same state, event and now give the same effects. What a step decides, in the order of the
design: observe, propose, check then sign, merge and re-emit, heal, settle, write, be seen alive.
"""

from __future__ import annotations

from collections.abc import Iterable
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
)
from gossip_price.core.effects import StepEffects
from gossip_price.core.ending import Ending
from gossip_price.core.events import Effect, NoteKind
from gossip_price.core.healing import Healing
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.journal_outage import JournalOutage
from gossip_price.core.limits import (
    ASK_DEADLINE_MS,
    HEAL_PATIENCE_MS,
    HEAL_SPREAD,
    JOURNAL_AGE_S,
    VARIANTS_MAX,
    WAITING_MAX,
)
from gossip_price.core.merging import Merging
from gossip_price.core.observing import Observing
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
    compute_jitter_ms,
)
from gossip_price.core.speaking import Speaking
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Entry, Now, Report, StoredRow
from gossip_price.core.votes import Votes
from gossip_price.core.voting import Voting
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
        self._writing = Writing(me, self._beating.get_writers)
        self._audit = Audit(me, self._writing, self._reports.is_unsettled, protocols)
        self._journal_outage = JournalOutage(self._effects)
        self._merging = Merging(
            calendar=self._calendar,
            rounds=self._rounds,
            reports=self._reports,
            beating=self._beating,
            outbox=self._outbox,
            audit=self._audit,
            effects=self._effects,
            agenda=self._agenda,
        )
        self._ending = Ending(
            calendar=self._calendar,
            rounds=self._rounds,
            reports=self._reports,
            votes=self._votes,
            effects=self._effects,
        )
        self._observing = Observing(self._rounds, self._presence, self._effects)
        self._voting = Voting(
            me=me,
            birth_ms=remembered.birth_ms,
            calendar=self._calendar,
            rounds=self._rounds,
            reports=self._reports,
            votes=self._votes,
            observing=self._observing,
            merging=self._merging,
            journal_outage=self._journal_outage,
            effects=self._effects,
        )
        self._store_trouble = ""
        self._forget_ms = now.mono_ms
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
        return self._beating.get_writers(store, mono_ms)

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
            None if self._closing else self._merging.get_deadline_ms(),
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
                self._speaking.process_signed(event, now.mono_ms)
                self._voting.process_signed(event, now)
            case ev.Observed():
                self._observing.process_observation(event)
            case ev.NotObserved():
                self._observing.process_no_observation(event)
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
                self._voting.leave()
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
            self._observing.observe(round_, now)
            self._voting.propose(round_, now)
            self._voting.decide_undecided(round_, now)
            self._ending.close(round_, now)
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
        if start is not None:
            self._ending.rebind_from(start)

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
            self._merging.take_in(tally, now)
        for signature in unseen:
            self._merging.merge(tally, signature.member, signature.signature, now)
        round_ = self._rounds.find(report.pair, report.round)
        # One more signer changes nothing of a round in which all is decided.
        if round_ is not None and round_.undecided:
            self._agenda.look_at_rounds()
        return verdict

    # --- heal ---------------------------------------------------------------------------------

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
            self._merging.merge_late(event.records, what_for.signatures, now)

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
        while (tally := self._merging.settle_next(now)) is not None:
            if not self._calendar.may_write(now, tally.document):
                self._reports.finish(tally.id)
            elif len(self._writing) >= WAITING_MAX:
                # It stays in the journal and is taken up at the next start.
                self._effects.note_tally(NoteKind.POISON, tally, reason="too_many_waiting")
                self._reports.finish(tally.id)
            else:
                # What a peer had of a closed round is stored most likely: only to be looked after.
                self._writing.add(
                    self._make_row(tally), now, vouched=tally.vouched, trusted=tally.is_caught_up
                )
                if tally.is_caught_up:
                    self._effects.remember(ev.StoredRecord(tally.id, confirmed=False))

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

    def _process_journal_failed(self, event: ev.JournalFailed, now: Now) -> None:
        self._journal_outage.process_failed(event.reason, now.mono_ms)
        self._speaking.forget_unsigned()

    def _process_journal_recovered(self, now: Now) -> None:
        """Write again what the journal missed, and sign what we had bound ourselves to."""
        self._journal_outage.process_recovered()
        self._calendar.remember()
        for tally in self._reports:
            if tally.is_proven:
                self._merging.remember_proven(tally)
        self._voting.sign_again(now)

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
                self._merging.await_again(tally, tally.settles_ms)
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
            encode_open((tally.id, tally.signer_bits) for tally in self._merging.list_open()),
            self._reports.forest.encode_roots(),
            now,
        )
        self._speaking.say(heartbeat, self._calendar.chain.separator)
