"""Who undoes what the operator applies is answered ever less often, and named."""

from __future__ import annotations

from gossip_price_operator.contests import (
    CONTESTED,
    Contest,
    find_rival,
    note_apply,
    say_contest,
)


def fight(times: int, *, now_s: float = 0.0) -> list[Contest]:
    """A contest in which each apply comes as soon as it may."""
    rounds: list[Contest] = []
    for _ in range(times):
        rounds.append(note_apply(rounds[-1] if rounds else None, "hash", "mesh", now_s))
        now_s = max(now_s + 0.1, rounds[-1].next_s)
    return rounds


def test_edits_by_hand_are_put_back_at_once() -> None:
    assert [contest.is_contested for contest in fight(CONTESTED - 1)] == [False] * (CONTESTED - 1)
    assert fight(CONTESTED - 1)[-1].next_s <= 0.1 * CONTESTED


def test_who_goes_on_undoing_it_is_answered_ever_less_often_but_always() -> None:
    contests = fight(CONTESTED + 20)
    pauses = [
        round(after.next_s - max(before.next_s, 0.0), 1)
        for before, after in zip(contests[CONTESTED - 2 :], contests[CONTESTED - 1 :], strict=False)
    ]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300
    assert sum(contest.next_s < 600 for contest in contests) <= CONTESTED + 7


def test_a_contest_outlasts_its_own_pause() -> None:
    assert all(contest.calm_s > contest.next_s for contest in fight(CONTESTED + 20))


def test_another_manifest_is_no_contest() -> None:
    known = fight(CONTESTED + 3)[-1]
    assert note_apply(known, "other", "mesh", 1000.0).count == 1


def test_the_rival_is_who_wrote_last_beside_us_and_the_words_stay() -> None:
    live = {
        "metadata": {
            "managedFields": [
                {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
                {"manager": "mesh-controller", "time": "2026-01-01T00:00:09Z"},
                {"manager": "gossip-price-operator", "time": "2026-01-01T00:01:00Z"},
            ]
        }
    }
    assert find_rival(live) == "mesh-controller"
    assert find_rival(None) == find_rival({"metadata": {}}) == ""
    contests = fight(CONTESTED + 3)
    said = {say_contest("Service eth-nodes", contest) for contest in contests}
    assert len(said) == 1
    assert "mesh" in said.pop()
    assert "remedy: let somebody" in say_contest("x", note_apply(None, "hash", "", 0.0))
