"""When a report must have settled: told to the checker by hand, and in days with a short cap."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec
import pytest

from gossip_price.network.document import Mode, compute_faulty_default
from gossip_price.simulator.checkers import Evidence, Setting
from gossip_price.simulator.checkers.settling import SettlingChecker
from gossip_price.simulator.facts import Claim, Law, Moment, Told, Watcher
from gossip_price.simulator.plan import CAP_S, SETTLE_S, Options, make_plan
from gossip_price.simulator.run import run_plan
from gossip_price.simulator.timeline import render_plan, render_violation

A, B, C, D, E = MEMBERS = tuple(bytes([number]) * 20 for number in range(1, 6))
LAW: Final = Law(
    epoch=bytes(32), separator=bytes(32), start=0, interval=60, every_node=False, quorum=3,
    faulty=1, fallback_delay=5, skew=5, settle=30, settle_cap=40, max_deviation=100,
    pairs=("ETH-USD",), digits={}, addresses=MEMBERS, peers=tuple("abcde"), protocol=1,
)  # fmt: skip
CLAIM: Final = Claim(LAW.epoch, "ETH-USD", 60, 2_500, 0, 60, A)
NODE: Final = 4


class Story:
    """What a node lived through, in seconds of its clocks; signatures are their signers' names."""

    def __init__(self, lateness_ms: int = 100) -> None:
        evidence = Evidence(LAW.separator, lambda _, signature: signature)
        setting = Setting(
            evidence, (LAW,), frozenset(), LAW.peers, MEMBERS, lateness_ms=lateness_ms
        )
        self.checker = SettlingChecker(setting)
        self.id = evidence.compute_id(CLAIM)
        self.signers: list[bytes] = []
        self.begin(0)

    def at(self, second: float) -> Moment:
        ms = round(second * 1000)
        return Moment(60_000 + ms, 60_000 + ms, 7_000_000 + ms)

    def begin(self, second: float, *, lost_volume: bool = False) -> None:
        self.checker.began(self.at(second), NODE, lost_volume=lost_volume)
        self.turn(second)

    def turn(self, *seconds: float) -> None:
        for second in seconds:
            self.checker.turned(self.at(second), NODE)

    def hear(self, second: float, *signers: bytes) -> None:
        """Let the node take a turn with a message that brings these signatures."""
        self.turn(second)
        entry = [list(CLAIM), [[MEMBERS.index(signer), signer] for signer in signers]]
        data = msgspec.msgpack.encode([1, [entry], [], []])
        self.checker.heard(self.at(second), NODE, "a", data)

    def sign(self, second: float, *signers: bytes) -> None:
        """Let the node hear and take in these signers; a quorum of them proves the report."""
        self.hear(second, *signers)
        for signer in signers:
            self.signers.append(signer)
            if len(self.signers) == LAW.quorum:
                self.keep(second)
            self.tell(second, "cosigned")
            if len(self.signers) == LAW.quorum:
                self.tell(second, "proven")

    def keep(self, second: float) -> None:
        signed = tuple((MEMBERS.index(signer), signer) for signer in self.signers)
        self.checker.kept(self.at(second), NODE, self.id, CLAIM, signed)

    def tell(self, second: float, kind: str) -> None:
        told = Told(kind, CLAIM.pair, CLAIM.round, self.id, len(self.signers), "", "")
        self.checker.told(self.at(second), NODE, told)

    def settle(self, second: float) -> str:
        """Let the report settle in a turn; return what is said of that."""
        self.turn(second)
        self.tell(second, "settled")
        return self.get_verdict()

    def get_verdict(self) -> str:
        return "; ".join(violation.text.split(" ", 2)[2] for violation in self.checker.violations)


def prove(**fixed: int) -> Story:
    """Return the story of a report that three members have signed by the tenth second."""
    story = Story(**fixed)
    story.sign(1, A, B)
    story.sign(10, C)
    return story


def test_a_report_settles_when_nobody_signs_for_the_settle_time() -> None:
    assert prove().settle(40) == ""
    assert prove().settle(39.9) == "100 ms too early"
    assert prove().settle(40.1) == ""
    assert prove().settle(40.2) == "200 ms too late"


def test_a_new_signer_puts_it_off_until_the_cap() -> None:
    story = prove()
    story.sign(15, D)
    assert story.settle(45) == ""
    story = prove()
    story.sign(15, D)
    story.sign(39, E)
    assert story.settle(50) == ""


def test_who_waits_beyond_the_cap_is_blamed() -> None:
    story = prove()
    story.sign(15, D)
    story.sign(39, E)
    assert story.settle(69) == "19000 ms too late"


def test_a_signer_that_the_wire_has_not_brought_puts_nothing_off() -> None:
    story = prove()
    story.turn(15)
    story.signers.append(D)
    story.tell(15, "cosigned")
    assert story.settle(45) == "5000 ms too late"


def test_an_echo_of_a_signer_puts_nothing_off() -> None:
    story = prove()
    story.hear(15, A, B, C)
    story.tell(15, "cosigned")
    assert story.settle(45) == "5000 ms too late"


def test_what_was_heard_and_not_taken_counts_from_when_it_is_proven() -> None:
    """As a message with a forged part, or of an epoch whose document comes later."""
    story = Story()
    story.hear(1, A, B, C)
    story.sign(20, A, B, C)
    assert story.settle(50) == ""


def test_a_process_that_was_stopped_settles_in_its_first_turn() -> None:
    for kind, verdict in (("node", ""), ("network", "35000 ms too late")):
        story = prove()
        story.checker.disturbed(70_000, 120_000, kind, (NODE,))
        assert story.settle(75) == verdict


def test_a_stopped_process_that_has_had_a_turn_is_late_all_the_same() -> None:
    story = prove()
    story.checker.disturbed(70_000, 120_000, "node", (NODE,))
    story.turn(74)
    assert story.settle(75) == "35000 ms too late"


def test_a_turn_that_is_late_may_bring_a_new_signer_first() -> None:
    story = prove(lateness_ms=5_000)
    story.sign(41, D)
    assert story.settle(50) == ""


def test_real_event_loops_may_be_late() -> None:
    assert prove(lateness_ms=5_000).settle(44) == ""
    assert prove(lateness_ms=5_000).settle(46) == "6000 ms too late"


def test_what_never_settles_is_found() -> None:
    story = prove()
    story.turn(40, 70, 99)
    assert story.get_verdict() == ""
    story.turn(101)
    assert story.get_verdict() == f"settled {story.id.hex()[:8]}, due 61000 ms ago"
    story.turn(170, 240)
    assert len(story.checker.violations) == 1


def test_a_process_that_leaves_settles_nothing() -> None:
    story = prove()
    story.checker.disturbed(95_000, 200_000, "node", (NODE,))
    story.turn(40, 70, 101, 135, 162, 210)
    assert story.get_verdict() == ""
    story.turn(230)
    assert story.get_verdict() != "", "a minute without trouble is enough"


def test_what_an_earlier_life_had_proven_waits_anew() -> None:
    for second, verdict in ((60, ""), (61, "1000 ms too late")):
        story = prove()
        story.begin(30)
        assert story.settle(second) == verdict
    story = prove()
    story.begin(30)
    story.sign(35, D)
    assert story.settle(65) == ""


def test_what_an_earlier_life_had_stored_need_not_settle_again() -> None:
    story = prove()
    assert story.settle(40) == ""
    story.begin(50)
    story.sign(55, D)
    story.keep(55)
    story.turn(90, 120, 151, 250)
    assert story.get_verdict() == ""


def test_what_a_disk_has_lost_counts_from_when_it_is_proven_again() -> None:
    for lost_volume in (False, True):
        story = prove()
        story.begin(30, lost_volume=lost_volume)
        story.signers = []
        story.sign(50, A, B, C)
        assert story.settle(80) == ""


# --- plans ----------------------------------------------------------------------------------------


class Settlements(Watcher):
    """Counts what settled before a settle time without a new signer had passed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last_ms: dict[tuple[int, bytes], int] = {}
        self.laws: list[Law] = []

    def enacted(self, at: Moment, law: Law) -> None:
        self.laws.append(law)

    def told(self, at: Moment, node: int, told: Told) -> None:
        if told.kind == "cosigned":
            self.last_ms[node, told.id] = at.mono_ms
        elif told.kind == "settled" and (node, told.id) in self.last_ms:
            since_ms = at.mono_ms - self.last_ms[node, told.id]
            self.counts["by the cap" if since_ms < SETTLE_S * 1000 - 500 else "by silence"] += 1


@pytest.mark.parametrize("mode", list(Mode))
def test_in_days_with_a_short_cap_late_signers_do_not_hold_reports_open(mode: Mode) -> None:
    counts: Counter[str] = Counter()
    for seed in range(3):
        settlements = Settlements()
        plan = make_plan(seed, Options(mode=mode, capped=True, faults=("slow",)))
        outcome = run_plan(plan, watchers=(settlements,), hashed=False)
        lines = [render_plan(plan), *(render_violation(one) for one in outcome.violations)]
        assert not outcome.violations, "\n".join(lines)
        counts += settlements.counts
    assert min(counts["by the cap"], counts["by silence"]) >= 20, counts


def test_some_plans_have_a_short_cap_and_the_others_are_as_they_were() -> None:
    plans = [make_plan(seed) for seed in range(200)]
    capped = [plan for plan in plans if plan.settle_cap != CAP_S]
    assert 20 <= len(capped) <= 60
    assert all(SETTLE_S <= plan.settle_cap < CAP_S for plan in capped)
    for plan in capped:
        slow = [fault for fault in plan.faults if fault.start_ms == plan.begin_ms]
        honest = set(range(plan.members)) - {liar.node for liar in plan.liars}
        assert len(slow) == compute_faulty_default(plan.members)
        assert {fault.node for fault in slow} <= honest
    # Only what is free may be capped: whoever names the faults gets no others.
    assert make_plan(capped[0].seed, Options(faults=("slow",))).settle_cap == CAP_S


def test_a_new_epoch_keeps_a_short_cap_in_proportion() -> None:
    caps: set[tuple[int, int]] = set()
    for seed in (0, 2, 3, 6):
        settlements = Settlements()
        plan = make_plan(seed, Options(turns=True, capped=True))
        outcome = run_plan(plan, watchers=(settlements,), hashed=False)
        assert not outcome.violations, render_plan(plan)
        caps |= {(law.settle, law.settle_cap) for law in settlements.laws}
    assert all(settle <= cap < 2 * settle for settle, cap in caps)
    assert {settle for settle, _ in caps} > {SETTLE_S}
