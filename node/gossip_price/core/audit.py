"""The audit: does what we have proven stand in the table, and is what stands there true? Pure.

Reads back page by page, never while a write is under way; what is missing goes to the writers,
what is false is corrected, signatures that came late are added. It decides when and what to read
and what follows; it knows no chain for longer than a call, and nothing of how rows are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from gossip_price.core import events as ev
from gossip_price.core.events import Effect, Note, NoteKind, ProvenRecord
from gossip_price.core.judging import Judgement, Standing, judge_known, judge_unknown, make_row
from gossip_price.core.limits import (
    AUDIT_ANSWER_MS,
    AUDIT_FAILURES_MAX,
    AUDIT_PAGES_MAX,
    AUDIT_PAUSE_MS,
    AUDIT_READ_MS,
    AUDIT_RECENT_EVERY_MS,
    AUDIT_RECENT_S,
    AUDIT_RETRY_MS,
    AUDIT_ROWS_MAX,
    AUDIT_SIGNATURES_MAX,
    AUDIT_SPREAD_MS,
    AUDIT_WHOLE_EVERY_MS,
    JOURNAL_AGE_S,
    LATE_MAX,
    ROLL_CALL_MS,
    WRITE_GATHER_MS,
)
from gossip_price.core.rows import Correction, FoundRow, Key, LateSignature, RowRange
from gossip_price.core.types import Now
from gossip_price.core.writing import Writing
from gossip_price.crypto import keccak256
from gossip_price.network.document import PROTOCOLS_KNOWN
from gossip_price.network.epochs import EpochChain

_LAST_ID: Final = b"\xff" * 32
_Repair = tuple[Correction, ...] | tuple[LateSignature, ...]


class _Run:
    """One audit, from a round to the end of the table."""

    __slots__ = ("absent", "failures", "false", "is_whole", "pages", "position", "rows", "until")

    def __init__(self, start: int, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        #: Everything up to this key is done.
        self.position: Key = (start - 1, _LAST_ID)
        #: The end of the page that was read, while what it did not show is looked for.
        self.until: Key | None = None
        self.pages = 0
        self.failures = 0
        self.rows = 0
        self.absent = 0
        self.false = 0


class _Asked:
    """The one statement under way: what it is of, and when it is given up."""

    __slots__ = ("by_id", "deadline_ms", "repair", "rows", "token", "until")

    def __init__(self, token: int, deadline_ms: int) -> None:
        self.token = token
        self.deadline_ms = deadline_ms
        #: The end of the page; None: the end of the table.
        self.until: Key | None = None
        self.by_id = False
        #: What was read, while the journal is asked whether we know more about it.
        self.rows: tuple[FoundRow, ...] | None = None
        self.repair: _Repair = ()


class Audit:
    """When to audit, the run under way, and what is to be mended.

    `me` is our address, `writing` takes what is missing; `is_unsettled` tells of an id that it is
    not settled yet, so that nobody may write it. `protocols` are those whose rules we know.
    """

    def __init__(
        self,
        me: bytes,
        writing: Writing,
        is_unsettled: Callable[[bytes], bool],
        protocols: frozenset[int] = PROTOCOLS_KNOWN,
    ) -> None:
        self._me = me
        self._protocols = protocols
        self._writing = writing
        self._is_unsettled = is_unsettled
        self._store: bytes | None = None
        self._audited_store: bytes | None = None
        self._token = 0
        self._run: _Run | None = None
        self._asked: _Asked | None = None
        #: Our own entries of the page under way, by id.
        self._records: dict[bytes, ProvenRecord] = {}
        #: Those of other rounds under whose ids something false stands in this page.
        self._others: dict[bytes, ProvenRecord] = {}
        #: Ids of the page under way that are to be looked for, wherever they stand.
        self._hidden: tuple[bytes, ...] = ()
        self._repairs: deque[_Repair] = deque()
        self._late: dict[tuple[bytes, bytes], bytes] = {}
        self._late_ms = 0
        self._next_ms = 0
        self._recent_ms = 0
        self._whole_ms = 0
        self._widened_ms: int | None = None

    # --- what happens -------------------------------------------------------------------------

    def process_up(self, store: bytes, now: Now) -> None:
        """The database answers: behind the roll call, look whether it is what it was.

        Another database is audited whole. Of the same, a hole in the last hours shows that it
        was put back to an older state, and then it is audited whole too.
        """
        self.process_down()
        self._store = store
        spread_ms = self._compute_spread_ms(b"reconnect", AUDIT_SPREAD_MS)
        self._recent_ms = now.mono_ms + 2 * ROLL_CALL_MS + spread_ms
        self._whole_ms = self._find_next_ms(b"whole", AUDIT_WHOLE_EVERY_MS, now)
        if self._audited_store not in (None, store):
            self._whole_ms = self._recent_ms
        self._audited_store = store

    def process_down(self) -> None:
        """The database does not answer: the next audit begins anew. What is late waits."""
        self._store = None
        self._run = None
        self._drop_page()
        self._repairs.clear()

    def add_late(self, late: LateSignature, slot: int, mono_ms: int) -> None:
        """Take a signature that came after its report was settled.

        The slot's first writer adds it. If that one does not, the audit does.
        """
        if self._store is None or not self._writing.is_first(slot, mono_ms):
            return
        if len(self._late) < LATE_MAX:
            if not self._late:
                self._late_ms = mono_ms + WRITE_GATHER_MS
            self._late[late.id, late.signer] = late.signature

    def advance(self, now: Now, *, is_free: bool) -> list[Effect]:
        """Ask for the next statement if one is due and nothing is under way.

        `is_free`: the journal can be read and no write is due or under way.
        """
        effects: list[Effect] = []
        if self._asked is not None and now.mono_ms >= self._asked.deadline_ms:
            effects += self._fail("timeout", now)
        if self._asked is not None or self._store is None or not is_free:
            return effects
        if self._hidden and self._run is not None:
            return [*effects, self._ask_hidden(self._run, now)]
        if self._late and now.mono_ms >= self._late_ms:
            self._repairs.append(self._take_late())
        if self._repairs:
            return [*effects, self._ask_repair(now)]
        if self._run is None:
            self._begin(now)
        if self._run is not None and now.mono_ms >= self._next_ms:
            effects.append(self._ask_page(self._run, now))
        return effects

    def get_deadline_ms(self, *, is_free: bool) -> int | None:
        """Return when `advance` has something to do; None while it waits for an event."""
        if self._asked is not None:
            return self._asked.deadline_ms
        if self._store is None or not is_free:
            return None
        if self._repairs or self._hidden:
            return 0
        deadlines = [self._next_ms] if self._run else [self._recent_ms, self._whole_ms]
        if self._late:
            deadlines.append(self._late_ms)
        return min(deadlines)

    def process(self, event: ev.AuditEvent, chain: EpochChain, now: Now) -> list[Effect]:
        """Take what a statement of ours, or the journal, has brought."""
        asked = self._asked
        if asked is None or event.token != asked.token:
            return []  # given up, or of before an outage
        match event:
            case ev.RangeRecalled():
                return self._process_records(asked, event, chain, now)
            case ev.RowsRead():
                return self._process_rows(asked, event.rows, chain, now)
            case ev.Corrected():
                self._asked = None
                return [
                    *self._list_moved(asked.repair, event.moved),
                    *(Note(NoteKind.RESTORED, id=id_) for id_ in event.inserted),
                ]
            case ev.SignaturesAdded():
                self._asked = None
                return [Note(NoteKind.LATE_SIGNED, count=event.count)] if event.count else []
            case ev.AuditFailed():
                if event.is_refusal and len(asked.repair) > 1:
                    self._halve(asked.repair)
                    return []
                return self._fail(event.reason, now)

    # --- when ---------------------------------------------------------------------------------

    def _begin(self, now: Now) -> None:
        is_whole = now.mono_ms >= self._whole_ms
        if not is_whole and now.mono_ms < self._recent_ms:
            return
        age_s = JOURNAL_AGE_S if is_whole else AUDIT_RECENT_S
        self._run = _Run(max(0, now.wall_ms // 1000 - age_s), is_whole=is_whole)
        self._next_ms = now.mono_ms
        # A whole audit is one of the last hours too.
        self._recent_ms = self._find_next_ms(b"recent", AUDIT_RECENT_EVERY_MS, now)
        if is_whole:
            self._whole_ms = self._find_next_ms(b"whole", AUDIT_WHOLE_EVERY_MS, now)

    def _finish_run(self, run: _Run, now: Now) -> list[Effect]:
        self._run = None
        # Somebody put it back, or was at it: who knows how much? At most once an hour, though.
        if (run.absent or run.false) and not run.is_whole:
            widened_ms = self._widened_ms
            if widened_ms is None or now.mono_ms - widened_ms >= AUDIT_RECENT_EVERY_MS:
                self._widened_ms = self._whole_ms = now.mono_ms
        return [
            Note(
                NoteKind.AUDITED,
                count=run.rows,
                reason="whole" if run.is_whole else "recent",
                detail=f"{run.absent} missing, {run.false} false",
            )
        ]

    def _find_next_ms(self, what: bytes, every_ms: int, now: Now) -> int:
        """Return our own moment of the next hour or day; members have different ones."""
        offset_ms = self._compute_spread_ms(what, every_ms)
        return now.mono_ms + 1 + (offset_ms - now.wall_ms - 1) % every_ms

    def _compute_spread_ms(self, what: bytes, within_ms: int) -> int:
        return int.from_bytes(keccak256(what + self._me)[:6], "big") % within_ms

    # --- pages --------------------------------------------------------------------------------

    def _ask(self, now: Now) -> _Asked:
        self._token += 1
        self._asked = _Asked(self._token, now.mono_ms + AUDIT_ANSWER_MS)
        return self._asked

    def _ask_page(self, run: _Run, now: Now) -> Effect:
        """First our own entries: they tell how far the page may reach."""
        return ev.RecallRange(self._ask(now).token, run.position, AUDIT_ROWS_MAX)

    def _ask_hidden(self, run: _Run, now: Now) -> Effect:
        """Look for our own entries that did not show: under their ids, whatever round is there."""
        ids, self._hidden = self._hidden, ()
        asked = self._ask(now)
        asked.by_id, asked.until = True, run.until
        return ev.ReadRows(asked.token, None, ids, AUDIT_READ_MS)

    def _process_records(
        self, asked: _Asked, event: ev.RangeRecalled, chain: EpochChain, now: Now
    ) -> list[Effect]:
        run = self._run
        if event.records is None or run is None:
            return self._fail("journal", now)
        if asked.rows is not None:
            self._others = {record.id: record for record in event.records}
            return self._process_page(asked, run, asked.rows, chain, now)
        if not self._writing.is_idle():
            # A batch has left since the journal was asked: the page is begun again after it.
            self._drop_page()
            return []
        limit = compute_page_rows(chain)
        records = event.records[:limit]
        self._records = {record.id: record for record in records}
        if len(records) == limit:
            asked.until = (records[-1].entry.report.round, records[-1].id)
        rows = RowRange(run.position, asked.until, limit)
        return [ev.ReadRows(asked.token, rows, (), AUDIT_READ_MS)]

    def _process_rows(
        self, asked: _Asked, rows: tuple[FoundRow, ...], chain: EpochChain, now: Now
    ) -> list[Effect]:
        run = self._run
        if run is None:
            return self._fail("no_run", now)
        # Whatever round a false row claims: we may know what belongs in its place.
        suspects = tuple(
            found.id
            for found in rows
            if found.id not in self._records
            and judge_unknown(found, chain, self._protocols, self._me, now).standing
            is Standing.FALSE
        )
        if suspects:
            asked.rows = rows
            return [ev.RecallRange(asked.token, run.position, len(suspects), suspects)]
        return self._process_page(asked, run, rows, chain, now)

    def _process_page(
        self,
        asked: _Asked,
        run: _Run,
        rows: tuple[FoundRow, ...],
        chain: EpochChain,
        now: Now,
    ) -> list[Effect]:
        effects = self._judge(run, rows, chain, now)
        if asked.by_id:
            self._process_absent(run, rows, chain, now)
        else:
            if len(rows) >= compute_page_rows(chain):
                last = rows[-1]
                asked.until = (last.claim.round or 0, last.id)
            hidden = self._find_hidden(asked.until, rows)
            if hidden:
                # A squatted row may claim another round. A write may be under way by now.
                self._asked = None
                self._hidden, run.until = hidden, asked.until
                return effects
        return [*effects, *self._finish_page(run, asked, now)]

    def _finish_page(self, run: _Run, asked: _Asked, now: Now) -> list[Effect]:
        self._drop_page()
        run.pages += 1
        run.failures = 0
        self._next_ms = now.mono_ms + AUDIT_PAUSE_MS
        if asked.until is None or asked.until <= run.position or run.pages >= AUDIT_PAGES_MAX:
            return self._finish_run(run, now)
        run.position = asked.until
        return []

    def _find_hidden(self, until: Key | None, rows: tuple[FoundRow, ...]) -> tuple[bytes, ...]:
        """Return our own ids of this page that did not show, if they should stand there."""
        shown = {found.id for found in rows}
        return tuple(
            id_
            for id_, record in self._records.items()
            if id_ not in shown
            and (until is None or (record.entry.report.round, id_) <= until)
            and not self._is_unsettled(id_)
            and not self._writing.is_waiting(id_)
        )

    def _process_absent(
        self, run: _Run, rows: tuple[FoundRow, ...], chain: EpochChain, now: Now
    ) -> None:
        """Give what nowhere stands to the writers, by whose ranks one member inserts it."""
        hidden = self._find_hidden(self._asked.until if self._asked else None, rows)
        for id_ in hidden:
            record = self._records[id_]
            document = chain.find(record.entry.report.epoch)
            if document is not None:
                run.absent += 1
                self._writing.add_absent(make_row(record, document, self._me), now)

    def _judge(
        self, run: _Run, rows: tuple[FoundRow, ...], chain: EpochChain, now: Now
    ) -> list[Effect]:
        """Compare each row with what its id says; note what is to be mended."""
        corrections: list[Correction] = []
        late: list[LateSignature] = []
        effects: list[Effect] = []
        run.rows += len(rows)
        for found in rows:
            if self._is_unsettled(found.id):
                continue  # nobody honest has written it, and nobody may correct it yet
            judged = self._judge_row(found, chain, now)
            late += judged.late
            if judged.standing is Standing.FALSE:
                corrections.append(
                    Correction(found.id, found.version, judged.reason, judged.truth, self._me)
                )
            elif judged.standing is Standing.UNKNOWN_EPOCH:
                effects.append(_note_row(NoteKind.LEFT_ALONE, found.id, judged.reason))
        run.false += len(corrections)
        if corrections:
            self._repairs.append(tuple(corrections))
        for start in range(0, len(late), AUDIT_SIGNATURES_MAX):
            self._repairs.append(tuple(late[start : start + AUDIT_SIGNATURES_MAX]))
        return effects

    def _judge_row(self, found: FoundRow, chain: EpochChain, now: Now) -> Judgement:
        record = self._records.get(found.id) or self._others.get(found.id)
        document = chain.find(record.entry.report.epoch) if record is not None else None
        if record is None or document is None or document.protocol not in self._protocols:
            return judge_unknown(found, chain, self._protocols, self._me, now)
        return judge_known(found, make_row(record, document, self._me), document)

    # --- mending ------------------------------------------------------------------------------

    def _take_late(self) -> tuple[LateSignature, ...]:
        taken = sorted(self._late.items())[:AUDIT_SIGNATURES_MAX]
        for key, _ in taken:
            del self._late[key]
        return tuple(LateSignature(*key, signature) for key, signature in taken)

    def _ask_repair(self, now: Now) -> Effect:
        repair = self._repairs.popleft()
        asked = self._ask(now)
        asked.repair = repair
        corrections = tuple(one for one in repair if isinstance(one, Correction))
        if corrections:
            return ev.Correct(asked.token, corrections)
        late = tuple(one for one in repair if isinstance(one, LateSignature))
        return ev.AddSignatures(asked.token, late)

    def _halve(self, repair: _Repair) -> None:
        """One of these is refused: the others shall not wait for it."""
        self._asked = None
        middle = len(repair) // 2
        self._repairs.extendleft((repair[middle:], repair[:middle]))

    def _list_moved(self, repair: _Repair, moved: tuple[bytes, ...]) -> list[Effect]:
        reasons = {one.id: one.reason for one in repair if isinstance(one, Correction)}
        return [_note_row(NoteKind.QUARANTINED, id_, reasons.get(id_, "")) for id_ in sorted(moved)]

    def _fail(self, reason: str, now: Now) -> list[Effect]:
        """Give the statement under way up, and try the page again, or the audit later.

        A repair is not tried again: the next audit finds what it should have mended.
        """
        is_page = self._asked is not None and not self._asked.repair
        self._drop_page()
        self._next_ms = now.mono_ms + AUDIT_RETRY_MS
        if self._run is not None and is_page:
            self._run.failures += 1
            if self._run.failures >= AUDIT_FAILURES_MAX:
                self._run = None
        return [Note(NoteKind.AUDIT_FAILED, detail=reason)]

    def _drop_page(self) -> None:
        self._asked = None
        self._records = {}
        self._others = {}
        self._hidden = ()


def compute_page_rows(chain: EpochChain) -> int:
    """Return how many rows a page has: fewer where each has many signatures to check."""
    members = max(len(document.members) for document in chain.documents)
    return max(1, min(AUDIT_ROWS_MAX, AUDIT_SIGNATURES_MAX // members))


def _note_row(kind: NoteKind, id_: bytes, reason: str) -> Note:
    return Note(kind, id=id_, reason=reason)
