"""Deliberate bugs: each a small change of the real core that a checker must catch.

A checker that has never caught anything proves nothing. Every mutant is a context manager that
puts one bug into the core and takes it out again; `catch` tells how many seeds it took.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from gossip_price.network.document import Mode
from gossip_price.simulator.bugs import audits, proofs, storing, trees, votes
from gossip_price.simulator.plan import Options, make_plan
from gossip_price.simulator.run import Outcome, run_plan


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
    Mutant("count messages instead of members", "proof", proofs.count_messages,
           _looking_at("kill", "partition", "copies", "stop")),
    Mutant("count members of another epoch", "proof", proofs.count_other_epoch,
           _looking_at("kill", habits=("impersonate",), epochs=True)),
    Mutant("count to another epoch's quorum", "proof", proofs.use_small_quorum,
           _looking_at("kill", "partition", members=7)),
    Mutant("call proven what its proposer has not signed", "proof", proofs.prove_without_proposer,
           _looking_at("kill", "partition")),
    Mutant("sign in an epoch not in force", "votes", votes.keep_old_rounds,
           _looking_at("slow", epochs=True)),
    Mutant("vote anew in each epoch", "votes", votes.vote_in_each_epoch,
           _looking_at("slow", epochs=True)),
    Mutant("bind a round by its own mode alone", "votes", votes.bind_by_own_mode,
           _looking_at("slow", turns=True)),
    Mutant("go back to an older epoch", "votes", votes.go_back,
           _looking_at("oldfile", epochs=True)),
    Mutant("sign by rules that one does not know", "votes", votes.know_all_protocols,
           _looking_at("slow", epochs=True)),
    Mutant("skip the roster check", "proof", proofs.skip_roster_check,
           _looking_at(habits=("impersonate",))),
    Mutant("take high-s signatures", "proof", proofs.take_high_s,
           _looking_at("slow", "oneway", "loss", habits=("malleate",))),
    Mutant("sign before the journal is synced", "votes", votes.sign_before_journal, _CRASHES),
    Mutant("report a sync that was none", "votes", votes.skip_sync, _CRASHES),
    Mutant("sign what met a full disk, however late", "votes", votes.sign_again_however_late,
           _looking_at("disk")),
    Mutant("forget votes on restart", "votes", votes.forget_votes, _CRASHES),
    Mutant("forget the highest round on restart", "votes",
           votes.forget_highest_round,
           _looking_at("clock", "kill", members=4, interval=15, rounds=3, liars=False)),
    Mutant("forget the journal's birth", "votes", votes.forget_birth,
           _looking_at("volume", habits=("equivocate", "flood"), interval=30)),
    Mutant("let the fallback's report be signed as well", "votes", votes.sign_fallback_too),
    Mutant("sign any price", "votes", votes.skip_deviation, _looking_at("disagree", "lag")),
    Mutant("sign rounds that are closed", "votes", votes.sign_closed_rounds,
           _looking_at("kill", "clock", habits=("replay",))),
    Mutant("let a receipt prune", "keeping", audits.unaudited(storing.let_receipts_prune),
           _looking_at("database", habits=("receipts",))),
    Mutant("believe a receipt for ever", "keeping", audits.unaudited(storing.forget_receipted_rows),
           _looking_at("database", habits=("receipts",))),
    Mutant("forget what waits when the database goes away", "keeping",
           audits.unaudited(storing.forget_what_waits), _looking_at("database")),
    Mutant("keep what is proven in memory only", "keeping", storing.keep_proven_in_memory,
           _looking_at("blackout", "database")),
    Mutant("never audit", "keeping", audits.never_audit,
           _looking_at("failover", interval=15, rounds=400)),
    Mutant("believe a row because its id exists", "keeping", audits.believe_ids,
           _looking_at("squat", "tamper")),
    Mutant("quarantine without inserting the true one", "keeping", audits.quarantine_alone,
           _looking_at("tamper")),
    Mutant("look for rows only where they should be", "keeping", audits.trust_range,
           _looking_at("tamper", "squat")),
    Mutant("judge rows of unknown epochs", "keeping", audits.judge_unknown_epochs,
           _looking_at("invent")),
    Mutant("drop late signatures", "late", audits.drop_late,
           _looking_at("loss", habits=("sign_late",))),
    Mutant("leave late signatures to the first writer alone", "late",
           audits.leave_late_to_first_writer, _looking_at("database", habits=("sign_late",))),
    Mutant("read while a write is under way", "cost", audits.read_while_writing,
           _looking_at("slowbase", habits=("sign_late",))),
    Mutant("read before each write", "cost", audits.read_before_writing, Options(faults=())),
    Mutant("audit all the time", "cost", audits.audit_all_the_time, _looking_at("tamper")),
    Mutant("write as a herd after an outage", "cost", storing.write_as_a_herd,
           _looking_at("database")),
    Mutant("let a poison row hold its batch up", "liveness", storing.set_batch_aside,
           _looking_at("poison", mode=Mode.EVERY_NODE)),
    Mutant("drop what was refused", "keeping", audits.unaudited(storing.drop_refused),
           _looking_at("poison")),
    Mutant("store before settlement", "settling", storing.store_unsettled),
    Mutant("settle on first proven", "settling", storing.settle_on_first_proven),
    Mutant("correct what has not settled", "settling", audits.correct_unsettled,
           _looking_at("squat")),
    Mutant("settle by the wall clock", "settling", storing.settle_by_wall_clock,
           _looking_at("clock")),
    Mutant("ignore the cap", "settling", storing.ignore_cap, _looking_at("slow", capped=True)),
    Mutant("await every member until the cap", "settling", storing.await_all_until_cap,
           _looking_at("kill")),
    Mutant("settle a second after it is due", "settling", storing.settle_a_second_late),
    Mutant("forget when the next one settles", "settling", storing.forget_when_it_settles),
    Mutant("settle one of many", "settling", storing.settle_one_of_many,
           _looking_at("stop", mode=Mode.EVERY_NODE)),
    Mutant("drop the union", "liveness", storing.drop_union),
    Mutant("never forget rounds", "bounds", storing.never_forget_rounds),
    Mutant("never drop what is not proven", "bounds", storing.never_drop_unproven),
    Mutant("send on each merge", "cost", storing.send_on_each_merge),
    Mutant("never take over", "liveness", storing.never_take_over),
    Mutant("let everybody write", "cost", storing.everybody_writes, Options(faults=())),
    Mutant("drop the signers of closed rounds", "agreement", trees.drop_closed_bits,
           _looking_at("loss", habits=("sign_late",), long=True)),
    Mutant("believe an id without signatures", "proof", trees.believe_trees,
           _looking_at("away", habits=("trees",), long=True)),
    Mutant("never compare roots", "agreement", trees.never_compare_roots,
           _looking_at("away", long=True)),
    Mutant("name roots that one's proofs do not have", "agreement", trees.leave_leaves_unsorted,
           _looking_at(long=True)),
    Mutant("blame whose report was forwarded", "blame", proofs.blame_proposer,
           _looking_at("slow", habits=("impersonate", "malleate"))),
    Mutant("reject what a slow clock sends", "blame", proofs.reject_stale,
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
