"""Deliberate bugs: each a small change of the real core that a checker must catch.

A checker that has never caught anything proves nothing. Every mutant is a context manager that
puts one bug into the core and takes it out again; `catch` tells how many seeds it took.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from heapq import heappush
from typing import Any, Final, NamedTuple

import msgspec

from gossip_price import crypto
from gossip_price.core import audit, checks, doorkeeper, judging, merkle, rounds, votes, voting
from gossip_price.core import events as ev
from gossip_price.core.asking import Asking
from gossip_price.core.audit import Audit
from gossip_price.core.calendar import Calendar
from gossip_price.core.catchup import Catchup
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.ending import Ending
from gossip_price.core.forest import Forest
from gossip_price.core.judging import Judgement, Standing
from gossip_price.core.limits import POISON_RETRY_MS
from gossip_price.core.machine import Machine
from gossip_price.core.merging import Merging
from gossip_price.core.presence import Presence
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports
from gossip_price.core.rounds import list_vote_keys
from gossip_price.core.types import Now
from gossip_price.core.votes import Votes
from gossip_price.core.voting import Voting
from gossip_price.core.wire import encode_open
from gossip_price.core.writing import Writing
from gossip_price.crypto import SignatureError
from gossip_price.engine import Turns
from gossip_price.network.document import Mode
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import JournalError
from gossip_price.simulator.database import Table
from gossip_price.simulator.disk import SimulatedJournal
from gossip_price.simulator.plan import Options, make_plan
from gossip_price.simulator.run import Outcome, run_plan

_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@contextmanager
def _changed(owner: Any, name: str, value: object) -> Iterator[None]:
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _all(*changes: AbstractContextManager[None]) -> Iterator[None]:
    with ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        yield


def _count_messages() -> AbstractContextManager[None]:
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

    return _changed(Doorkeeper, "process_entry", process_entry)


def _sign_before_journal() -> AbstractContextManager[None]:
    original = Turns.take
    late: weakref.WeakKeyDictionary[Turns, list[ev.Record]] = weakref.WeakKeyDictionary()

    class Later:
        """Takes records now; they are written some turns later, many at once."""

        def __init__(self, turns: Any) -> None:
            self.records = late.setdefault(turns, [])
            self.read_proven = turns._journal.read_proven
            self.read_proven_range = turns._journal.read_proven_range

        def write(self, records: Any) -> None:
            self.records += records

    def take(self: Any, events: Any, now: Now) -> Any:
        journal, later = self._journal, Later(self)
        if len(later.records) > 8:
            with suppress(JournalError):
                journal.write(list(later.records))
                later.records.clear()
        self._journal = later
        try:
            return original(self, events, now)
        finally:
            self._journal = journal

    return _changed(Turns, "take", take)


def _skip_sync() -> AbstractContextManager[None]:
    original = SimulatedJournal.sync

    def sync(self: Any) -> None:
        if len(self._unsynced) > 40:
            original(self)

    def load(self: Any) -> Any:
        original(self)
        return loaded(self)

    loaded = SimulatedJournal.load

    return _all(_changed(SimulatedJournal, "sync", sync), _changed(SimulatedJournal, "load", load))


def _count_other_epoch() -> AbstractContextManager[None]:
    original = Doorkeeper.process_entry

    def process_entry(self: Any, entry: Any, now: Now) -> Any:
        everybody = {address for doc in self._calendar.chain.documents for address in doc.addresses}

        def check(id_: bytes, signature: Any, document: Any) -> Any:
            try:
                is_member = vars(checks)["recover"](id_, signature.signature) in everybody
            except SignatureError:
                is_member = False
            return checks.ACCEPT if is_member else checks._reject("bad_signature")

        with _changed(doorkeeper, "check_signature", check):
            return original(self, entry, now)

    return _changed(Doorkeeper, "process_entry", process_entry)


def _drop_union() -> AbstractContextManager[None]:
    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        if len(self.signatures) >= 2 and member not in self.signatures:
            self.signatures.pop(next(iter(self.signatures)))
        return original(self, member, signature, now)

    original = Tally.merge
    return _changed(Tally, "merge", merge)


def _store_unsettled() -> AbstractContextManager[None]:
    return _changed(Tally, "settles_ms", property(lambda self: self.proven_ms))


def _settle_on_first_proven() -> AbstractContextManager[None]:
    def settles_ms(self: Any) -> int | None:
        if self.proven_ms is None:
            return None
        due_ms: int = self.proven_ms + self.document.settle * 1000
        return due_ms

    return _changed(Tally, "settles_ms", property(settles_ms))


def _settle_by_wall_clock() -> AbstractContextManager[None]:
    original, deadline = Machine.step, Machine.get_deadline_ms
    offsets: weakref.WeakKeyDictionary[Machine, int] = weakref.WeakKeyDictionary()

    def move(self: Any, now: Now) -> Now:
        offset = offsets.setdefault(self, now.wall_ms - now.mono_ms)
        return Now(now.wall_ms, now.wall_ms - offset)

    def step(self: Any, event: Any, now: Now) -> Any:
        return original(self, event, move(self, now))

    def get_deadline_ms(self: Any, now: Now) -> int:
        moved = move(self, now)
        return max(deadline(self, moved) - moved.mono_ms, 1) + now.mono_ms

    return _all(
        _changed(Machine, "step", step), _changed(Machine, "get_deadline_ms", get_deadline_ms)
    )


def _let_receipts_prune() -> AbstractContextManager[None]:
    original = Writing.add

    def process_receipt(self: Any, id_: bytes, store: bytes, mono_ms: int) -> bool:
        return self._pending.pop(id_, None) is not None

    def add(self: Any, row: Any, now: Now, *, trusted: bool = False, vouched: Any = None) -> None:
        if vouched is None:
            original(self, row, now, trusted=trusted)

    return _all(
        _changed(Writing, "process_receipt", process_receipt), _changed(Writing, "add", add)
    )


def _forget_receipted_rows() -> AbstractContextManager[None]:
    """Believe a receipt for ever: never look again."""
    return _changed(Writing, "_take_trusted", lambda self, mono_ms: [])


def _forget_what_waits() -> AbstractContextManager[None]:
    original = Writing.process_down

    def process_down(self: Any) -> None:
        waiting = [i for i, one in self._pending.items() if one.status.value == "waiting"]
        original(self)
        for id_ in waiting:
            del self._pending[id_]

    return _changed(Writing, "process_down", process_down)


def _sign_fallback_too() -> AbstractContextManager[None]:
    def list_keys(
        document: Any, chain: Any, pair: str, round_start: int, proposer: bytes
    ) -> list[str]:
        return [f"{pair}|{round_start}|{proposer.hex()}"]

    return _changed(votes, "list_vote_keys", list_keys)


def _forget_birth() -> AbstractContextManager[None]:
    original = Voting.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **(given | {"birth_ms": 0}))

    return _changed(Voting, "__init__", init)


def _forget_highest_round() -> AbstractContextManager[None]:
    original = Calendar.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **given)
        self.highest = 0

    return _changed(Calendar, "__init__", init)


def _forget_votes() -> AbstractContextManager[None]:
    """The machine forgets, and the journal, which would refuse the second vote, lets it pass."""
    original = Votes.__init__

    def init(self: Any, remembered: Any, *given: Any) -> None:
        original(self, (), *given)

    return _all(
        _changed(Votes, "__init__", init),
        _changed(SimulatedJournal, "_refuse_contradictions", lambda self, records: None),
        _changed(SimulatedJournal, "_apply", _overwrite),
    )


def _overwrite(self: Any, record: ev.Record) -> None:
    if isinstance(record, ev.Vote):
        self.votes[record.key] = record
    else:
        _apply(self, record)


_apply: Final = SimulatedJournal._apply


def _keep_proven_in_memory() -> AbstractContextManager[None]:
    return _changed(Merging, "remember_proven", lambda self, tally: None)


def _blame_proposer() -> AbstractContextManager[None]:
    original = Doorkeeper.process_verdict

    def process_verdict(self: Any, verdict: Any, author: str, report: Any = None) -> bool:
        document = report and self._calendar.chain.find(report.epoch)
        index = document and document.index_by_address.get(report.proposer)
        blamed = author if index is None else document.members[index].peer_id
        return original(self, verdict, blamed, report)

    return _changed(Doorkeeper, "process_verdict", process_verdict)


def _reject_stale() -> AbstractContextManager[None]:
    original = checks.check_entry

    def check_entry(*given: Any) -> Any:
        verdict = original(*given)
        return checks._reject(verdict.reason) if verdict.reason == "stale_round" else verdict

    return _changed(doorkeeper, "check_entry", check_entry)


def _take_high_s() -> AbstractContextManager[None]:
    order = 2 * _HALF_ORDER + 1

    def recover(digest: bytes, signature: bytes) -> bytes:
        s = int.from_bytes(signature[32:64], "big")
        if s > _HALF_ORDER:
            low = (order - s).to_bytes(32, "big")
            signature = signature[:32] + low + bytes([55 - signature[64]])
        return crypto.recover(digest, signature)

    return _changed(checks, "recover", recover)


def _skip_roster_check() -> AbstractContextManager[None]:
    return _changed(doorkeeper, "check_signature", lambda id_, signature, document: checks.ACCEPT)


def _skip_deviation() -> AbstractContextManager[None]:
    return _changed(voting, "is_within_deviation", lambda price, own, max_deviation_bp: True)


def _sign_closed_rounds() -> AbstractContextManager[None]:
    return _all(
        _changed(voting, "is_over", lambda *given: False),
        _changed(Calendar, "is_closed", lambda *given: False),
    )


def _send_on_each_merge() -> AbstractContextManager[None]:
    original = Merging.merge

    def merge(self: Any, tally: Any, member: int, signature: bytes, now: Now) -> None:
        original(self, tally, member, signature, now)
        self._outbox.add_entry(tally.id, now.mono_ms)

    return _changed(Merging, "merge", merge)


def _everybody_writes() -> AbstractContextManager[None]:
    return _changed(Presence, "get_writers", lambda self, document, store, mono_ms: [])


def _never_forget_rounds() -> AbstractContextManager[None]:
    return _changed(rounds, "compute_close_ms", lambda document, start: (start + 86_400) * 1000)


def _use_small_quorum() -> AbstractContextManager[None]:
    """Count to the quorum of the first epoch in every epoch."""
    original = Tally.merge

    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        was = original(self, member, signature, now)
        if was and self.proven_ms is None and len(self.signatures) >= 3:
            self.proven_ms = now.mono_ms
        return was

    return _changed(Tally, "merge", merge)


def _prove_without_proposer() -> AbstractContextManager[None]:
    """Call a report proven by whichever signatures of a message come first."""
    original = Tally.merge

    def merge(self: Any, member: int, signature: bytes, now: Now) -> bool:
        was = original(self, member, signature, now)
        quorum = self.document.minimum_signers
        if was and self.proven_ms is None and len(self.signatures) >= quorum:
            self.proven_ms = now.mono_ms
        return was

    return _changed(Tally, "merge", merge)


def _drop_closed_bits() -> AbstractContextManager[None]:
    """Take a closed round's report into the tree as it came first, whoever signs it later."""
    original = Forest.add

    def add(self: Any, id_: bytes, round_: int, bits: int) -> None:
        if round_ >= self.cut or not self.get_bits(id_):
            original(self, id_, round_, bits)

    return _changed(Forest, "add", add)


def _believe_trees() -> AbstractContextManager[None]:
    """Take what was asked for by its id alone: the tree has named it."""
    original = Asking._process_entries

    def process_entries(self: Any, event: Any, wanted: Any, now: Now) -> None:
        with _changed(
            doorkeeper, "check_signature", lambda id_, signature, document: checks.ACCEPT
        ):
            original(self, event, wanted, now)

    return _changed(Asking, "_process_entries", process_entries)


def _never_compare_roots() -> AbstractContextManager[None]:
    return _changed(Catchup, "process_roots", lambda self, *given: None)


def _leave_leaves_unsorted() -> AbstractContextManager[None]:
    # All members' roots agree for as long as all prove in the same order.
    return _changed(merkle, "encode_leaf", lambda items: b"\0" + encode_open(items))


def _vote_in_each_epoch() -> AbstractContextManager[None]:
    """Take a round of another epoch for another round."""

    def list_keys(
        document: Any, chain: Any, pair: str, round_start: int, proposer: bytes
    ) -> list[str]:
        keys = list_vote_keys(document, chain, pair, round_start, proposer)
        return [f"{key}|{document.epoch}" for key in keys]

    return _changed(votes, "list_vote_keys", list_keys)


def _bind_by_own_mode() -> AbstractContextManager[None]:
    """A vote of a round's other mode, under the epoch before, binds nobody."""

    def list_keys(*given: Any) -> list[str]:
        return list_vote_keys(*given)[:1]

    return _changed(votes, "list_vote_keys", list_keys)


def _sign_again_however_late() -> AbstractContextManager[None]:
    """What a full disk kept from being signed is signed when there is space, whenever that is."""

    def sign_again(self: Any, now: Now) -> None:
        for vote in self._votes.list_unsigned():
            self._effects.remember(vote)
            self._effects.append(ev.Sign(vote.id))

    return _changed(Voting, "sign_again", sign_again)


def _never_drop_unproven() -> AbstractContextManager[None]:
    return _changed(Reports, "drop", lambda self, tally: self._unsettled.discard(tally.id))


def _keep_old_rounds() -> AbstractContextManager[None]:
    """Go on with rounds that were begun under an epoch not in force for them."""
    return _changed(Ending, "_rebind", lambda self, round_: None)


def _go_back() -> AbstractContextManager[None]:
    return _changed(EpochChain, "find_return", lambda self, epoch, hash_: None)


def _know_all_protocols() -> AbstractContextManager[None]:
    original = Machine.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **(given | {"protocols": frozenset(range(9))}))

    return _changed(Machine, "__init__", init)


def _never_audit() -> AbstractContextManager[None]:
    return _all(
        _changed(Audit, "advance", lambda self, now, *, is_free: []),
        _changed(Audit, "get_deadline_ms", lambda self, *, is_free: None),
    )


def _unaudited(
    make: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """The audit mends what this bug breaks: without it, the bug must show."""
    return lambda: _all(make(), _never_audit())


def _believe_ids() -> AbstractContextManager[None]:
    """A row is true because its id stands there."""
    true = Judgement(Standing.TRUE)
    return _all(
        _changed(audit, "judge_known", lambda *given: true),
        _changed(audit, "judge_unknown", lambda *given: true),
    )


def _leave_late_to_first_writer() -> AbstractContextManager[None]:
    """The audit does not compare signers: what the first writer missed is nowhere."""
    original = judging.judge_known

    def judge(*given: Any) -> Any:
        return original(*given)._replace(late=())

    return _changed(audit, "judge_known", judge)


def _drop_late() -> AbstractContextManager[None]:
    return _all(
        _changed(Audit, "add_late", lambda self, late, slot, mono_ms: None),
        _leave_late_to_first_writer(),
    )


def _quarantine_alone() -> AbstractContextManager[None]:
    original = Table.correct

    def correct(self: Any, corrections: Any, wall_ms: int) -> Any:
        bare = [msgspec.structs.replace(one, truth=None) for one in corrections]
        return original(self, bare, wall_ms)

    return _changed(Table, "correct", correct)


def _correct_unsettled() -> AbstractContextManager[None]:
    """What belongs in a false row's place is put there before it has settled."""
    original = Audit._judge

    def judge(self: Any, *given: Any) -> Any:
        is_unsettled, self._is_unsettled = self._is_unsettled, lambda id_: False
        try:
            return original(self, *given)
        finally:
            self._is_unsettled = is_unsettled

    return _changed(Audit, "_judge", judge)


def _trust_range() -> AbstractContextManager[None]:
    """What a range does not show is missing: nobody looks for it under its id."""
    original = Audit._process_page

    def process_page(self: Any, asked: Any, *given: Any) -> Any:
        effects = original(self, asked, *given)
        reads = [one for one in effects if isinstance(one, ev.ReadRows)]
        if not reads:
            return effects
        return [*effects[:-1], *self.process(ev.RowsRead(reads[0].token, ()), *given[2:])]

    return _changed(Audit, "_process_page", process_page)


def _judge_unknown_epochs() -> AbstractContextManager[None]:
    original = judging.judge_unknown

    def judge(*given: Any) -> Any:
        judged = original(*given)
        if judged.standing is Standing.UNKNOWN_EPOCH:
            return Judgement(Standing.FALSE, judged.reason)
        return judged

    return _changed(audit, "judge_unknown", judge)


def _read_while_writing() -> AbstractContextManager[None]:
    return _changed(Machine, "_may_audit", lambda self, now: self._writing.store is not None)


def _audit_all_the_time() -> AbstractContextManager[None]:
    return _changed(Audit, "_find_next_ms", lambda self, what, every_ms, now: now.mono_ms + 5_000)


def _write_as_a_herd() -> AbstractContextManager[None]:
    """After an outage everybody writes what waited."""
    original = Writing._assign_ranks

    def assign_ranks(self: Any, now: Now) -> None:
        with _changed(Writing, "_compute_delay_ms", lambda self, slot, mono_ms: 0):
            original(self, now)

    return _changed(Writing, "_assign_ranks", assign_ranks)


def _set_batch_aside() -> AbstractContextManager[None]:
    """A refused batch waits as a whole, for one row's sake."""

    def process_refused(self: Any, ids: Any, mono_ms: int) -> Any:
        if ids != self._in_flight:
            return None
        self._in_flight = ()
        for id_ in ids:
            self._schedule(self._pending[id_], mono_ms + POISON_RETRY_MS)
        return ids[0]

    return _changed(Writing, "process_refused", process_refused)


def _drop_refused() -> AbstractContextManager[None]:
    """What the database refused once is never tried again."""
    original = Writing.process_refused

    def process_refused(self: Any, ids: Any, mono_ms: int) -> Any:
        poison = original(self, ids, mono_ms)
        if poison is not None:
            self._pending.pop(poison, None)
        return poison

    return _changed(Writing, "process_refused", process_refused)


class Mutant(NamedTuple):
    """A bug, who must catch it, and where it is worth looking for it first."""

    name: str
    checker: str
    make: Callable[[], AbstractContextManager[None]]
    options: Options = Options()


def _looking_at(*faults: str, **fixed: Any) -> Options:
    """Only these faults: a seed that has nothing else meets them sooner."""
    return Options(faults=faults, **fixed)


_CRASHES: Final = _looking_at("kill", habits=("equivocate", "flood"), interval=30)

MUTANTS: Final = (
    Mutant("count messages instead of members", "proof", _count_messages,
           _looking_at("kill", "partition", "copies", "stop")),
    Mutant("count members of another epoch", "proof", _count_other_epoch,
           _looking_at("kill", habits=("impersonate",), epochs=True)),
    Mutant("count to another epoch's quorum", "proof", _use_small_quorum,
           _looking_at("kill", "partition", members=7)),
    Mutant("call proven what its proposer has not signed", "proof", _prove_without_proposer,
           _looking_at("kill", "partition")),
    Mutant("sign in an epoch not in force", "votes", _keep_old_rounds,
           _looking_at("slow", epochs=True)),
    Mutant("vote anew in each epoch", "votes", _vote_in_each_epoch,
           _looking_at("slow", epochs=True)),
    Mutant("bind a round by its own mode alone", "votes", _bind_by_own_mode,
           _looking_at("slow", turns=True)),
    Mutant("go back to an older epoch", "votes", _go_back,
           _looking_at("oldfile", epochs=True)),
    Mutant("sign by rules that one does not know", "votes", _know_all_protocols,
           _looking_at("slow", epochs=True)),
    Mutant("skip the roster check", "proof", _skip_roster_check,
           _looking_at(habits=("impersonate",))),
    Mutant("take high-s signatures", "proof", _take_high_s,
           _looking_at("slow", "oneway", "loss", habits=("malleate",))),
    Mutant("sign before the journal is synced", "votes", _sign_before_journal, _CRASHES),
    Mutant("report a sync that was none", "votes", _skip_sync, _CRASHES),
    Mutant("sign what met a full disk, however late", "votes", _sign_again_however_late,
           _looking_at("disk")),
    Mutant("forget votes on restart", "votes", _forget_votes, _CRASHES),
    Mutant("forget the highest round on restart", "votes",
           _forget_highest_round, _looking_at("clock", "kill", interval=15)),
    Mutant("forget the journal's birth", "votes", _forget_birth,
           _looking_at("volume", habits=("equivocate", "flood"), interval=30)),
    Mutant("let the fallback's report be signed as well", "votes", _sign_fallback_too),
    Mutant("sign any price", "votes", _skip_deviation, _looking_at("disagree", "lag")),
    Mutant("sign rounds that are closed", "votes", _sign_closed_rounds,
           _looking_at("kill", "clock", habits=("replay",))),
    Mutant("let a receipt prune", "keeping", _unaudited(_let_receipts_prune),
           _looking_at("database", habits=("receipts",))),
    Mutant("believe a receipt for ever", "keeping", _unaudited(_forget_receipted_rows),
           _looking_at("database", habits=("receipts",))),
    Mutant("forget what waits when the database goes away", "keeping",
           _unaudited(_forget_what_waits), _looking_at("database")),
    Mutant("keep what is proven in memory only", "keeping", _keep_proven_in_memory,
           _looking_at("blackout", "database")),
    Mutant("never audit", "keeping", _never_audit,
           _looking_at("failover", interval=15, rounds=400)),
    Mutant("believe a row because its id exists", "keeping", _believe_ids,
           _looking_at("squat", "tamper")),
    Mutant("quarantine without inserting the true one", "keeping", _quarantine_alone,
           _looking_at("tamper")),
    Mutant("look for rows only where they should be", "keeping", _trust_range,
           _looking_at("tamper", "squat")),
    Mutant("judge rows of unknown epochs", "keeping", _judge_unknown_epochs,
           _looking_at("invent")),
    Mutant("drop late signatures", "late", _drop_late,
           _looking_at("loss", habits=("sign_late",))),
    Mutant("leave late signatures to the first writer alone", "late",
           _leave_late_to_first_writer, _looking_at("database", habits=("sign_late",))),
    Mutant("read while a write is under way", "cost", _read_while_writing,
           _looking_at("slowbase", habits=("sign_late",))),
    Mutant("audit all the time", "cost", _audit_all_the_time, _looking_at("tamper")),
    Mutant("write as a herd after an outage", "cost", _write_as_a_herd,
           _looking_at("database")),
    Mutant("let a poison row hold its batch up", "liveness", _set_batch_aside,
           _looking_at("poison", mode=Mode.EVERY_NODE)),
    Mutant("drop what was refused", "keeping", _unaudited(_drop_refused), _looking_at("poison")),
    Mutant("store before settlement", "settling", _store_unsettled),
    Mutant("settle on first proven", "settling", _settle_on_first_proven),
    Mutant("correct what has not settled", "settling", _correct_unsettled,
           _looking_at("squat")),
    Mutant("settle by the wall clock", "settling", _settle_by_wall_clock,
           _looking_at("clock")),
    Mutant("drop the union", "liveness", _drop_union),
    Mutant("never forget rounds", "bounds", _never_forget_rounds),
    Mutant("never drop what is not proven", "bounds", _never_drop_unproven),
    Mutant("send on each merge", "cost", _send_on_each_merge),
    Mutant("let everybody write", "cost", _everybody_writes, Options(faults=())),
    Mutant("drop the signers of closed rounds", "agreement", _drop_closed_bits,
           _looking_at("loss", habits=("sign_late",), long=True)),
    Mutant("believe an id without signatures", "proof", _believe_trees,
           _looking_at("away", habits=("trees",), long=True)),
    Mutant("never compare roots", "agreement", _never_compare_roots,
           _looking_at("away", long=True)),
    Mutant("name roots that one's proofs do not have", "agreement", _leave_leaves_unsorted,
           _looking_at(long=True)),
    Mutant("blame whose report was forwarded", "blame", _blame_proposer,
           _looking_at("slow", habits=("impersonate", "malleate"))),
    Mutant("reject what a slow clock sends", "blame", _reject_stale,
           _looking_at("clock", "stop", "slow")),
)  # fmt: skip


class Catch(NamedTuple):
    """How a mutant fared: after how many seeds who caught it; `outcome` None if nobody did."""

    mutant: Mutant
    seeds: int
    caught_by: tuple[str, ...]
    outcome: Outcome | None


def catch(mutant: Mutant, seeds_max: int, first: int = 0) -> Catch:
    """Run seeds with the bug at work until its checker says so."""
    for seed in range(first, first + seeds_max):
        outcome = run_plan(make_plan(seed, mutant.options), bug=mutant.make(), hashed=False)
        said = tuple(sorted({violation.checker for violation in outcome.violations}))
        if mutant.checker in said:
            return Catch(mutant, seed - first + 1, said, outcome)
    return Catch(mutant, seeds_max, (), None)
