"""What is settled goes to the database: who writes it, what is told of it, what a restart takes up.

`writing` decides who writes what and when; here is what that means for reports, journal and peers.
"""

from __future__ import annotations

from gossip_price.core import events as ev
from gossip_price.core.audit import Audit
from gossip_price.core.backlog import Backlog
from gossip_price.core.beating import Beating
from gossip_price.core.calendar import Calendar
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import WAITING_MAX
from gossip_price.core.merging import Merging
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports, make_tally
from gossip_price.core.speaking import Speaking
from gossip_price.core.types import Now, StoredRow
from gossip_price.core.wire import UNSIGNED, Receipt
from gossip_price.core.writing import Writing


class Storing:
    """The way of settled reports into the table. `me` is our address."""

    def __init__(
        self,
        *,
        me: bytes,
        calendar: Calendar,
        reports: Reports,
        merging: Merging,
        writing: Writing,
        audit: Audit,
        beating: Beating,
        speaking: Speaking,
        effects: StepEffects,
    ) -> None:
        self._me = me
        self._calendar = calendar
        self._reports = reports
        self._merging = merging
        self._writing = writing
        self._audit = audit
        self._beating = beating
        self._speaking = speaking
        self._effects = effects
        self._trouble = ""

    def restore(self, remembered: ev.Recollection, now: Now) -> None:
        """Take up what an earlier life of this process has proven."""
        stored = {record.id: record.confirmed for record in remembered.stored}
        for record in remembered.proven:
            report = record.entry.report
            document = self._calendar.chain.find(report.epoch)
            if document is None:
                continue
            tally = make_tally(record, document, now)
            if not tally.is_proven:
                continue
            self._reports.forest.add(tally.id, report.round, tally.signer_bits)
            self._reports.add(tally)
            confirmed = stored.get(tally.id)
            if confirmed is None:
                self._merging.await_again(tally)
                continue
            self._reports.settle(tally)
            self._writing.mark_stored(report)
            if confirmed:
                self._reports.finish(tally.id)
            else:
                self._writing.add(self._make_row(tally), now, trusted=True)

    def describe_backlog(self, now: Now) -> Backlog:
        """Tell what waits for signers or the database, and how long already."""
        unsettled = self._reports.list_unsettled()
        proven_ms = [tally.proven_ms for tally in unsettled if tally.proven_ms is not None]
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

    # --- writing ------------------------------------------------------------------------------

    def settle(self, now: Now) -> None:
        """Hand what has settled to the writers."""
        while (tally := self._merging.settle_next(now)) is not None:
            if not self._calendar.may_write(now, tally.document):
                self._reports.finish(tally.id)
                self._effects.remember(ev.LeftToOthers(tally.id))
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

    def write(self, now: Now) -> None:
        """Let the batch be written that is due, if one is."""
        rows = self._writing.take_batch(now)
        if rows:
            self._effects.append(ev.Write(rows))

    def process_stored(self, event: ev.Stored, now: Now) -> None:
        """A batch of ours stands in the table: remember it, and give a receipt for what is news."""
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

    def process_refused(self, event: ev.StoreRefused, now: Now) -> None:
        """The database does not take a batch: tell of the one row for which, once it is found."""
        poison = self._writing.process_refused(event.ids, now.mono_ms)
        if poison is not None:
            tally = self._reports.get(poison)
            if tally is not None:
                self._effects.note_tally(NoteKind.POISON, tally, reason=event.reason)
            else:
                self._effects.note(NoteKind.POISON, id=poison, reason=event.reason)

    def process_receipt(self, receipt: Receipt, now: Now) -> None:
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

    # --- the database -------------------------------------------------------------------------

    def process_up(self, event: ev.StoreUp, now: Now) -> None:
        """The database answers, and has said who it is."""
        self._writing.process_up(event.store, now)
        self._audit.process_up(event.store, now)
        self._beating.hurry(now.mono_ms)
        self._effects.note(NoteKind.STORE_UP, id=event.store)

    def process_down(self, event: ev.StoreDown, now: Now) -> None:
        """The database does not answer."""
        # The failed write and the connection's watcher both tell of the same trouble.
        is_news = self._writing.store is not None or event.reason != self._trouble
        if self._writing.store is not None:
            self._beating.hurry(now.mono_ms)
        self._writing.process_down()
        self._audit.process_down()
        self._trouble = event.reason
        if is_news:
            self._effects.note(NoteKind.STORE_DOWN, reason=event.reason)
