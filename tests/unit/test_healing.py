"""Whom to ask for what, and when: the bookkeeping alone, with a table of who lacks what."""

from __future__ import annotations

from gossip_price.core.healing import Healing
from gossip_price.core.limits import (
    ASK_AGAIN_MS,
    ASK_BACKOFF_MAX_MS,
    ASK_IDS_MAX,
    ASK_SIGNATURES_MAX,
    ASKS_MAX,
    HEARTBEAT_MS,
)

ONE, TWO = b"1" * 32, b"2" * 32


def lack_all(_id: bytes, bits: int) -> int:
    return bits


def lack_none(_id: bytes, _bits: int) -> int:
    return 0


def test_nobody_is_asked_before_gossip_has_had_its_time() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 1_000)
    assert healing.get_deadline_ms() == 1_000
    assert healing.take_question(lack_all, 999) is None
    assert healing.take_question(lack_all, 1_000) == ("a", (ONE,))
    assert healing.get_deadline_ms() is None


def test_what_gossip_brought_meanwhile_is_not_asked_for() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 1_000)
    assert healing.take_question(lack_none, 1_000) is None
    assert healing.get_deadline_ms() is None


def test_further_heartbeats_do_not_put_the_question_off() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 1_000)
    healing.process_claims("a", {ONE: 0b1, TWO: 0b1}, 6_000)
    assert healing.take_question(lack_all, 1_000) == ("a", (ONE, TWO))


def test_the_same_id_is_asked_of_one_peer_at_a_time() -> None:
    healing = Healing()
    for peer in ("a", "b", "c"):
        healing.process_claims(peer, {ONE: 0b11}, 0)
    assert healing.take_question(lack_all, 0) == ("a", (ONE,))
    assert healing.take_question(lack_all, 0) is None
    healing.process_failure("a", 2_000, is_its_own=True)
    assert healing.take_question(lack_all, 2_000) == ("b", (ONE,))


def test_a_peer_has_one_question_at_a_time_and_all_together_a_few() -> None:
    healing = Healing()
    for number in range(ASKS_MAX + 2):
        peer, id_ = f"peer {number}", bytes([number]) * 32
        healing.process_claims(peer, {id_: 0b1, ONE: 0b1}, 0)
    taken = [healing.take_question(lack_all, 5_000) for _ in range(ASKS_MAX + 2)]
    assert [question is not None for question in taken] == [True] * ASKS_MAX + [False] * 2
    assert len({question[0] for question in taken if question}) == ASKS_MAX
    assert healing.get_deadline_ms() is None
    healing.process_failure("peer 0", 6_000, is_its_own=False)
    assert healing.get_deadline_ms() is not None


def test_a_peer_that_owes_an_answer_is_not_asked_for_what_another_did_not_give() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 0)
    healing.process_claims("b", {ONE: 0b1, TWO: 0b1}, 0)
    assert healing.take_question(lack_all, 0) == ("a", (ONE,))
    assert healing.take_question(lack_all, 0) == ("b", (TWO,))
    healing.process_failure("a", 2_000, is_its_own=True)
    assert healing.take_question(lack_all, 2_000) is None
    healing.process_answer("b", {TWO: 0b1}, 2_000)
    assert healing.take_question(lack_all, 2_100) == ("b", (ONE,))


def test_a_question_has_so_many_ids_and_expects_so_many_signatures() -> None:
    healing = Healing()
    many = {number.to_bytes(32, "big"): 0b111 for number in range(200)}
    healing.process_claims("a", many, 0)
    question = healing.take_question(lack_all, 0)
    assert question is not None
    assert len(question[1]) == ASK_IDS_MAX
    healing = Healing()
    healing.process_claims("a", dict.fromkeys(many, (1 << 256) - 1), 0)
    question = healing.take_question(lack_all, 0)
    assert question is not None
    assert len(question[1]) == ASK_SIGNATURES_MAX // 256


def test_what_was_given_is_followed_by_the_rest_at_once() -> None:
    healing = Healing()
    many = {number.to_bytes(32, "big"): 0b1 for number in range(150)}
    healing.process_claims("a", many, 0)
    asked: list[bytes] = []
    now_ms = 0
    while question := healing.take_question(lack_all, now_ms):
        asked += question[1]
        assert len(asked) <= len(many), "asked twice for the same"
        healing.process_answer("a", dict.fromkeys(question[1], 0b1), now_ms)
        now_ms = healing.get_deadline_ms() or now_ms
    assert asked == list(many)
    assert now_ms < 1_000


def test_what_was_of_no_use_is_asked_again_only_later_or_when_there_is_more_of_it() -> None:
    healing = Healing()

    def ask(claimed: int, now_ms: int) -> bool:
        healing.process_claims("a", {ONE: claimed}, now_ms)
        question = healing.take_question(lack_all, now_ms)
        if question is not None:
            healing.process_answer("a", {ONE: claimed}, now_ms)
            healing.take_question(lack_all, now_ms + 100)
        return question is not None

    assert ask(0b01, 0)
    assert not ask(0b01, 5_000)
    assert ask(0b11, 10_000)
    assert not ask(0b11, 15_000)
    assert ask(0b11, 10_000 + ASK_AGAIN_MS)


def test_a_peer_that_keeps_no_promise_is_asked_ever_more_seldom_until_it_keeps_one() -> None:
    healing = Healing()
    waits = []
    now_ms = 0
    for number in range(10):
        healing.process_claims("a", {bytes([number]) * 32: 0b1}, now_ms)
        due_ms = healing.get_deadline_ms()
        assert due_ms is not None
        waits.append(due_ms - now_ms)
        now_ms = due_ms
        assert healing.take_question(lack_all, now_ms) is not None
        healing.process_answer("a", {}, now_ms)
    assert waits[:4] == [0, HEARTBEAT_MS, 2 * HEARTBEAT_MS, 4 * HEARTBEAT_MS]
    assert waits[-1] == ASK_BACKOFF_MAX_MS
    now_ms += ASK_BACKOFF_MAX_MS
    healing.process_claims("a", {ONE: 0b1}, now_ms)
    assert healing.take_question(lack_all, now_ms) is not None
    healing.process_answer("a", {ONE: 0b1}, now_ms)
    healing.process_claims("a", {TWO: 0b1}, now_ms)
    assert healing.take_question(lack_all, now_ms + 100) is not None
    # It has begun anew: the next broken promise costs as little as the first.
    now_ms += 100
    healing.process_answer("a", {}, now_ms)
    healing.process_claims("a", {bytes(32): 0b1}, now_ms)
    assert healing.get_deadline_ms() == now_ms + HEARTBEAT_MS


def test_less_than_was_claimed_keeps_no_promise() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b11}, 0)
    healing.take_question(lack_all, 0)
    healing.process_answer("a", {ONE: 0b01}, 0)
    healing.process_claims("a", {TWO: 0b1}, 0)
    assert healing.get_deadline_ms() == HEARTBEAT_MS


def test_whom_we_cannot_reach_is_asked_after_its_next_heartbeat() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 0)
    healing.take_question(lack_all, 0)
    healing.process_failure("a", 1, is_its_own=False)
    assert healing.get_deadline_ms() is None
    healing.process_claims("a", {ONE: 0b1}, 5_000)
    assert healing.take_question(lack_all, 5_000) == ("a", (ONE,))


def test_a_peer_that_fell_silent_is_not_asked_for_ever() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 0)
    healing.take_question(lack_all, 0)
    healing.process_failure("a", 5_000, is_its_own=True)
    assert healing.get_deadline_ms() is None


def test_who_left_the_roster_is_forgotten_once_it_owes_nothing() -> None:
    healing = Healing()
    healing.process_claims("a", {ONE: 0b1}, 0)
    healing.process_claims("b", {TWO: 0b1}, 9_000)
    healing.take_question(lack_all, 0)
    healing.forget_all_but(frozenset())
    assert healing.get_question("a") == {ONE}
    assert healing.get_deadline_ms() is None
    healing.process_answer("a", {}, 1)
    healing.forget_all_but(frozenset())
    healing.process_claims("a", {ONE: 0b1}, 2)
    assert healing.take_question(lack_all, 2) == ("a", (ONE,))


def test_answers_that_were_not_waited_for_change_nothing() -> None:
    healing = Healing()
    healing.process_answer("a", {ONE: 0b1}, 0)
    healing.process_failure("a", 0, is_its_own=True)
    assert healing.get_question("a") == frozenset()
    assert healing.get_deadline_ms() is None
