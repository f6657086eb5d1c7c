"""A report's way from its first signature to settlement: signatures are united, people counted.

Who let a report in (`doorkeeper`), and whether we sign it (`voting`), is others' affair; what
becomes of it once it is settled is that of `storing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.audit import Audit
from gossip_price.core.beating import Beating
from gossip_price.core.calendar import Calendar
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import OPEN_IDS_MAX
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.outbox import Outbox
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports
from gossip_price.core.rounds import Round, compute_close_ms
from gossip_price.core.rows import LateSignature
from gossip_price.core.types import Now, Signature
from gossip_price.core.wire import Heartbeat, decode_open


class Merging:
    """What is not settled yet, and when it will be (monotonic milliseconds)."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        rounds: OpenRounds,
        reports: Reports,
        beating: Beating,
        outbox: Outbox,
        audit: Audit,
        effects: StepEffects,
        agenda: Agenda,
    ) -> None:
        self._calendar = calendar
        self._rounds = rounds
        self._reports = reports
        self._beating = beating
        self._outbox = outbox
        self._audit = audit
        self._effects = effects
        self._agenda = agenda
        self._settling: list[tuple[int, bytes]] = []

    # --- taking in ----------------------------------------------------------------------------

    def take_in(self, tally: Tally, now: Now) -> None:
        """Keep what the doorkeeper let in, where it belongs."""
        self._agenda.look_at_rounds()
        document, report = tally.document, tally.report
        is_past = now.wall_ms >= compute_close_ms(document, report.round)
        if is_past and self._rounds.find(report.pair, report.round) is None:
            # Proven, of a round that was given up long ago: nothing of it is signed or awaited.
            self._reports.add(tally)
        elif self._calendar.chain.get_in_force(report.round) is document:
            self.add(self._rounds.get(document, report.pair, report.round), tally, now)
        else:
            self._add_foreign(tally, now)

    def add(self, round_: Round, tally: Tally, now: Now) -> None:
        """Take a report of an open round, to be decided upon."""
        proposer = tally.report.proposer
        if any(other.report.proposer == proposer for other in round_.tallies.values()):
            self._effects.note_tally(NoteKind.EQUIVOCATION, tally, member=proposer)
        self._reports.add(tally)
        round_.tallies[tally.id] = tally
        round_.undecided[tally.id] = None
        self._await_settling(tally, now)

    def _add_foreign(self, tally: Tally, now: Now) -> None:
        """Keep what laggards have proven under the epoch before: nothing else of it will come."""
        self._reports.add(tally)
        self._await_settling(tally, now)
        round_ = self._rounds.find(tally.report.pair, tally.report.round)
        if round_ is not None:
            round_.is_expected = False  # it has its price, if by another epoch

    def _await_settling(self, tally: Tally, now: Now) -> None:
        self._beating.process_price(now, is_first=self._reports.is_all_signed())
        self._reports.await_signers(tally)

    # --- merging ------------------------------------------------------------------------------

    def merge(self, tally: Tally, member: int, signature: bytes, now: Now) -> None:
        """Add a member's checked signature; tell, and remember, what that makes of the report."""
        was_proven = tally.is_proven
        if not tally.merge(member, signature, now):
            return
        signer, report = tally.document.addresses[member], tally.report
        self._effects.note_tally(NoteKind.COSIGNED, tally, member=signer)
        if tally.is_complete and not tally.is_settled:
            self._complete(tally, now)
        if not tally.is_proven:
            return
        self._reports.forest.add(tally.id, report.round, tally.signer_bits)
        if not was_proven:
            is_live = self._rounds.find(report.pair, report.round) is not None
            elapsed_ms = now.wall_ms - report.round * 1000 if is_live else 0
            self._effects.note_tally(NoteKind.PROVEN, tally, ms=max(0, elapsed_ms))
        if tally.is_settled:
            # The row stays as it was at settlement; the late signature is kept beside it.
            self._agenda.look_again()
            self.remember_proven(tally)
            if self._calendar.may_write(now):
                late = LateSignature(tally.id, signer, signature)
                self._audit.add_late(late, report.round, now.mono_ms)
            return
        if not was_proven:
            self.remember_proven(tally)
            self._expect_settling(tally)

    def _complete(self, tally: Tally, now: Now) -> None:
        """Everybody has signed: one more heartbeat tells who lacks some, then they are seldom."""
        # Of a round that was given up long ago, nobody awaited them.
        if self._reports.complete(tally):
            self._beating.owe(now)
            self._agenda.look_again()

    def process_heartbeat(self, heartbeat: Heartbeat, now: Now) -> None:
        """Name again soon what all have signed and this member lacks."""
        if not self._reports.are_complete():
            return  # or something is incomplete, and our next heartbeat comes soon anyhow
        named = decode_open(heartbeat.open)
        # Who has more open than it can name says nothing of what it leaves out.
        unnamed_bits = -1 if len(named) >= OPEN_IDS_MAX else 0
        for tally in self._reports.list_unsettled():
            lacks = tally.signer_bits & ~named.get(tally.id, unnamed_bits)
            if lacks and heartbeat.member in tally.document.index_by_address:
                self._beating.process_lack(now)
                self._agenda.look_again()
                return

    def merge_own(self, tally: Tally, member: int, signature: bytes, now: Now) -> None:
        """Add our own signature, and let all know: an entry is sent on for that alone."""
        self.merge(tally, member, signature, now)
        # Nothing is passed on that its proposer has not signed.
        self._outbox.add_entry(tally.id, now.mono_ms)

    def merge_late(
        self, records: Iterable[ev.ProvenRecord], signatures: tuple[Signature, ...], now: Now
    ) -> None:
        """Add new signers to what the journal has given back."""
        for record in records:
            tally = self._reports.get(record.id) or self._reports.take_back(record, now)
            if tally is None:
                continue
            for signature in signatures:
                self.merge(tally, signature.member, signature.signature, now)

    def remember_proven(self, tally: Tally) -> None:
        """Let the journal keep what is proven, with what we know of it now."""
        self._attach_observation(tally)
        self._effects.remember(tally.to_record())

    def remember_all_proven(self) -> None:
        """Let a journal that has missed records know again all that is proven and in memory."""
        for tally in self._reports:
            if tally.is_proven:
                self.remember_proven(tally)

    def _attach_observation(self, tally: Tally) -> None:
        """Keep with the report what we observed ourselves, which goes when the round closes."""
        observation = self._rounds.find_observation(tally.report.pair, tally.report.round)
        if observation is not None:
            tally.observed = (observation.sources, observation.spread_bp)

    # --- settling -----------------------------------------------------------------------------

    def await_again(self, tally: Tally) -> None:
        """Await settling of what an earlier life has proven."""
        # How long it had waited is not known to this process's clock: it waits anew.
        self._expect_settling(tally)
        self._reports.await_signers(tally)

    def _expect_settling(self, tally: Tally) -> None:
        """Look when it would settle; later signers may have put it off by then."""
        settles_ms = tally.settles_ms
        if settles_ms is not None:
            heappush(self._settling, (settles_ms, tally.id))
            self._agenda.expect(settles_ms)

    def settle_next(self, now: Now) -> Tally | None:
        """Settle the first report that is due, and return it; None when none is."""
        tally = self._peek()
        if tally is None or self._settling[0][0] > now.mono_ms:
            return None
        heappop(self._settling)
        self._reports.settle(tally)
        self._attach_observation(tally)
        if len(tally.signatures) > tally.document.minimum_signers:
            self.remember_proven(tally)
        elapsed_ms = now.mono_ms - tally.last_signer_ms
        self._effects.note_tally(NoteKind.SETTLED, tally, ms=elapsed_ms)
        return tally

    def get_deadline_ms(self) -> int | None:
        """Return when the next report may settle; None while none is proven."""
        return None if self._peek() is None else self._settling[0][0]

    def _peek(self) -> Tally | None:
        """Return the report that settles first, putting off those that a later signer has."""
        while self._settling:
            due_ms, id_ = self._settling[0]
            tally = self._reports.get(id_)
            settles_ms = None if tally is None or tally.is_settled else tally.settles_ms
            if settles_ms is None:
                heappop(self._settling)
            elif settles_ms > due_ms:
                heapreplace(self._settling, (settles_ms, id_))
            else:
                return tally
        return None

    # --- what others may heal from us ---------------------------------------------------------

    def list_open(self) -> list[Tally]:
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
