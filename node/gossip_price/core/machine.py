"""The protocol of one node: an event and the time go in, effects come out. Pure.

The same state, event and now give the same effects. What a step decides, in the order of the
design: observe, propose, check then sign, merge and re-emit, heal, settle, write, be seen alive.
Each of these has a file of its own; here is which event concerns whom, and the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.answering import Answering
from gossip_price.core.asking import Asking
from gossip_price.core.audit import Audit
from gossip_price.core.backlog import Backlog
from gossip_price.core.beating import Beating
from gossip_price.core.calendar import Calendar
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.effects import StepEffects
from gossip_price.core.ending import Ending
from gossip_price.core.events import Effect
from gossip_price.core.healing import Healing
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.journal_outage import JournalOutage
from gossip_price.core.limits import JOURNAL_AGE_S
from gossip_price.core.listening import Listening
from gossip_price.core.merging import Merging
from gossip_price.core.observing import Observing
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.outbox import Outbox
from gossip_price.core.presence import Presence
from gossip_price.core.recalls import Late, Recalls, Reply
from gossip_price.core.reports import Reports
from gossip_price.core.speaking import Speaking
from gossip_price.core.storing import Storing
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Now
from gossip_price.core.votes import Votes
from gossip_price.core.voting import Voting
from gossip_price.core.wire import encode_open
from gossip_price.core.writing import Writing
from gossip_price.network.document import PROTOCOLS_KNOWN
from gossip_price.network.epochs import EpochChain

_HOUR_MS: Final = 3_600_000
#: Most of what is signed is our own words: these leave all as it was, or say themselves what there
#: is to look at. So does what is heard, which is mostly heartbeats that tell nothing new.
_QUIET: Final = (ev.PeersChanged, ev.Tick, ev.Signed)


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
        self._forget_ms = now.mono_ms
        self._is_leaving = False
        effects = self._effects = StepEffects()
        agenda = self._agenda = Agenda()
        calendar = self._calendar = Calendar(
            chain=chain,
            me=me,
            protocols=protocols,
            remembered=remembered,
            started_ms=boot_ms,
            now=now,
            effects=effects,
            agenda=agenda,
        )
        rounds = self._rounds = OpenRounds(me)
        reports = self._reports = Reports(calendar)
        votes = self._votes = Votes(remembered.votes, calendar, effects)
        outbox = self._outbox = Outbox()
        presence = self._presence = Presence()
        recalls = self._recalls = Recalls(effects)
        healing = Healing()
        self._journal_outage = JournalOutage(effects)
        self._speaking = Speaking(outbox, effects)
        self._observing = Observing(rounds, presence, effects)
        self._beating = Beating(
            me=me,
            boot_ms=boot_ms,
            version=version,
            remembered=remembered,
            calendar=calendar,
            presence=presence,
            now=now,
        )
        self._writing = Writing(me, self._beating.get_writers, calendar.get_roster_then)
        self._audit = Audit(me, self._writing, reports.is_unsettled, protocols)
        self._merging = Merging(
            calendar=calendar,
            rounds=rounds,
            reports=reports,
            beating=self._beating,
            outbox=outbox,
            audit=self._audit,
            effects=effects,
            agenda=agenda,
        )
        self._ending = Ending(
            calendar=calendar, rounds=rounds, reports=reports, votes=votes, effects=effects
        )
        self._voting = Voting(
            me=me,
            birth_ms=remembered.birth_ms,
            calendar=calendar,
            rounds=rounds,
            reports=reports,
            votes=votes,
            observing=self._observing,
            merging=self._merging,
            journal_outage=self._journal_outage,
            effects=effects,
        )
        self._storing = Storing(
            me=me,
            calendar=calendar,
            reports=reports,
            merging=self._merging,
            writing=self._writing,
            audit=self._audit,
            beating=self._beating,
            speaking=self._speaking,
            effects=effects,
        )
        doorkeeper = Doorkeeper(
            calendar=calendar,
            rounds=rounds,
            reports=reports,
            merging=self._merging,
            recalls=recalls,
            effects=effects,
            agenda=agenda,
        )
        self._asking = Asking(
            me=me,
            calendar=calendar,
            reports=reports,
            healing=healing,
            doorkeeper=doorkeeper,
            outbox=outbox,
            effects=effects,
            agenda=agenda,
        )
        self._answering = Answering(
            reports=reports,
            healing=healing,
            doorkeeper=doorkeeper,
            recalls=recalls,
            effects=effects,
        )
        self._listening = Listening(
            calendar=calendar,
            presence=presence,
            outbox=outbox,
            doorkeeper=doorkeeper,
            asking=self._asking,
            merging=self._merging,
            storing=self._storing,
            agenda=agenda,
        )
        self._storing.restore(remembered, now)

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
        return self._is_leaving and is_empty

    @property
    def unstored(self) -> int:
        """How many settled prices we have not seen written by ourselves."""
        return len(self._writing)

    def describe_backlog(self, now: Now) -> Backlog:
        """Tell what waits for signers or the database, and how long already."""
        return self._storing.describe_backlog(now)

    def count_reports(self) -> int:
        """Return how many reports are in memory, proven or not."""
        return len(self._reports)

    def find_settled(self, id_: bytes) -> ev.ProvenRecord | None:
        """Return a settled price that is in memory: all that wait to be stored, and the newest."""
        return self._reports.find_settled(id_)

    def get_writers(self, store: bytes, mono_ms: int) -> list[bytes]:
        """Return the addresses of the members whose heartbeats, still fresh, name this store."""
        members = self._calendar.get_roster_then(mono_ms)
        return self._beating.get_writers(store, mono_ms, members)

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
        agenda = self._agenda
        if agenda.is_done or not agenda.due_ms:
            agenda.due_ms, agenda.is_done = self._compute_due_ms(now), False
        return agenda.due_ms

    def _compute_due_ms(self, now: Now) -> int:
        offset = now.wall_ms - now.mono_ms
        deadlines = (
            self._agenda.round_due_ms - offset,
            self._outbox.deadline_ms,
            self._writing.get_deadline_ms(),
            self._audit.get_deadline_ms(is_free=self._may_audit(now)),
            self._journal_outage.retry_ms,
            *(() if self._is_leaving else self._asking.list_deadlines_ms()),
            None if self._is_leaving else self._merging.get_deadline_ms(),
        )
        due_ms = self._beating.get_deadline_ms(is_all_signed=self._reports.is_all_signed())
        for deadline_ms in deadlines:
            if deadline_ms is not None and deadline_ms < due_ms:
                due_ms = deadline_ms
        return due_ms

    # --- the step -----------------------------------------------------------------------------

    def step(self, event: ev.Event, now: Now) -> list[Effect]:
        """Advance by one event; return what shall be done."""
        if now.wall_ms - now.mono_ms != self._calendar.clock_offset_ms:
            self._calendar.process_clock(now)
        if isinstance(event, ev.Received):
            self._listening.process_message(event, now)
        else:
            if not isinstance(event, _QUIET):
                self._agenda.look_at_rounds()
            self._process(event, now)
        if self._agenda.take_due(now.mono_ms):
            self._advance(now)
        return self._effects.take()

    def _process(self, event: ev.Event, now: Now) -> None:  # noqa: PLR0912  # a table of events
        match event:
            case ev.Tick():
                pass
            case ev.Signed():
                self._process_signed(event, now)
            case ev.Observed():
                self._observing.process_observation(event)
            case ev.NotObserved():
                self._observing.process_no_observation(event)
            case ev.Stored():
                self._storing.process_stored(event, now)
            case ev.StoreRefused():
                self._storing.process_refused(event, now)
            case (
                ev.RangeRecalled()
                | ev.RowsRead()
                | ev.Corrected()
                | ev.SignaturesAdded()
                | ev.AuditFailed()
            ):
                self._effects.extend(self._audit.process(event, self._calendar.chain, now))
            case ev.StoreUp():
                self._storing.process_up(event, now)
            case ev.StoreDown():
                self._storing.process_down(event, now)
            case ev.JournalFailed():
                self._journal_outage.process_failed(event.reason, now.mono_ms)
                self._speaking.forget_unsigned()
            case ev.JournalRecovered():
                self._process_journal_recovered(now)
            case ev.Asked():
                self._answering.process_question(event, now)
            case ev.Answered():
                self._asking.process_answer(event, now)
            case ev.AskFailed():
                self._asking.process_failed(event, now)
            case ev.Recalled():
                self._process_recalled(event, now)
            case ev.PeersChanged():
                self._presence.process_peers(event.peers)
            case ev.NetworkChanged():
                start = self._calendar.process_network(event.chain)
                if start is not None:
                    self._ending.rebind_from(start)
            case ev.Closing():
                self._is_leaving = True
                self._beating.leave()
                self._voting.leave()
                self._writing.hurry(now.mono_ms)

    def _process_signed(self, event: ev.Signed, now: Now) -> None:
        """A word of ours leaves soon; a vote may let its round go on."""
        if self._speaking.process_signed(event, now.mono_ms):
            self._publish(now)
            self._agenda.expect(self._outbox.deadline_ms)
        else:
            self._agenda.look_at_rounds()
            self._voting.process_signed(event, now)

    def _process_journal_recovered(self, now: Now) -> None:
        """Write again what the journal missed, and sign what we had bound ourselves to."""
        self._journal_outage.process_recovered()
        self._calendar.remember()
        self._merging.remember_all_proven()
        self._voting.sign_again(now)

    def _process_recalled(self, event: ev.Recalled, now: Now) -> None:
        """The journal has given what it holds of ids that are no more in memory."""
        match self._recalls.take(event.token):
            case Reply() as reply:
                self._answering.answer(reply, event.records)
            case Late(signatures):
                self._merging.merge_late(event.records, signatures, now)

    def _advance(self, now: Now) -> None:
        """Do whatever is due."""
        if now.wall_ms >= self._agenda.round_due_ms:
            self._look_at_rounds(now)
        if not self._is_leaving:
            self._asking.ask(now)
            # On the way out nothing settles: the others write it, or our next life does.
            self._storing.settle(now)
        self._storing.write(now)
        self._effects.extend(self._audit.advance(now, is_free=self._may_audit(now)))
        self._beat(now)
        if self._journal_outage.take_retry(now.mono_ms):
            # Any record does: the engine says JournalRecovered when one was taken.
            self._calendar.remember_round()
        if self._is_leaving:
            self._outbox.hurry(now.mono_ms)
        self._publish(now)

    def _publish(self, now: Now) -> None:
        if self._outbox.is_due(now.mono_ms):
            self._speaking.publish(self._reports.get_entry, now.mono_ms)

    def _look_at_rounds(self, now: Now) -> None:
        entered = self._calendar.enter_round(now)
        if entered is not None:
            if self._calendar.knows_rules(entered.document):
                self._rounds.enter(entered)
            if now.mono_ms >= self._forget_ms:
                self._forget(now)
        for round_ in self._rounds.list_all():
            self._observing.observe(round_, now)
            self._voting.propose(round_, now)
            self._voting.decide_undecided(round_, now)
            self._ending.close(round_, now)
        next_ms = self._calendar.compute_next_round_ms(now)
        self._agenda.round_due_ms = self._rounds.compute_due_ms(next_ms, now)

    def _may_audit(self, now: Now) -> bool:
        """No read while a write is under way, while the journal fails, or on the way out."""
        if self._is_leaving or self._journal_outage.retry_ms is not None:
            return False
        return self._writing.is_idle() and self._calendar.may_write(now)

    def _beat(self, now: Now) -> None:
        document = self._beating.begin(now, is_all_signed=self._reports.is_all_signed())
        if document is None:
            return
        self._reports.close_rounds(now)
        heartbeat = self._beating.make_heartbeat(
            document,
            self._writing.store,
            encode_open([(tally.id, tally.signer_bits) for tally in self._merging.list_open()]),
            self._reports.forest.encode_roots(),
            now,
        )
        self._speaking.say(heartbeat, self._calendar.chain.separator)

    def _forget(self, now: Now) -> None:
        """Drop, once an hour, what has served its time: old votes, and who is on no roster."""
        wall_s = now.wall_ms // 1000
        self._forget_ms = now.mono_ms + _HOUR_MS
        self._effects.remember(ev.Forget(wall_s - JOURNAL_AGE_S))
        chain = self._calendar.chain
        interval_max = max(document.interval for document in chain.documents)
        self._votes.forget_before(self._calendar.highest - 10 * interval_max)
        live = chain.list_live(wall_s)
        self._presence.forget_all_but(
            frozenset(address for document in live for address in document.addresses),
            frozenset(terms.pair for document in live for terms in document.pairs),
        )
        self._asking.forget_all_but(
            frozenset(member.peer_id for document in live for member in document.members)
        )
