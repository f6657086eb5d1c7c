from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gossip_price_operator.observed import JobState, Observed, Trouble, Workload
from gossip_price_operator.plan import make_plan
from gossip_price_operator.status import View, compute_status
from operator_cases import (
    START,
    make_desired,
    make_health,
    make_inputs,
    make_ready,
    observe_running,
)

NOW = START + 100
ALL = {
    "Ready", "Reconciling", "Stalled", "PostgresReady", "BootstrapReady", "NodesReady",
    "PeersConnected", "PricesFlowing",
}  # fmt: skip
DESIRED = make_desired(make_inputs())


def view(observed: Observed, *, generation: int = 1, created: int = START - 9_000) -> View:
    plan = make_plan(DESIRED, observed, NOW)
    return View("eth", generation, created, DESIRED.spec, observed, plan)


def tell(observed: Observed, now: int = NOW, **more: Any) -> dict[str, Any]:
    return compute_status(view(observed, **more), now)


def find(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    (found,) = (item for item in status["conditions"] if item["type"] == name)
    return dict(found)


def said(status: Mapping[str, Any], name: str) -> tuple[str, str]:
    condition = find(status, name)
    return condition["status"], condition["reason"]


def test_a_network_that_runs_is_ready_and_tells_its_numbers() -> None:
    status = tell(observe_running(DESIRED), generation=7)
    assert said(status, "Ready") == ("True", "Ready")
    assert said(status, "Reconciling") == ("False", "Reconciled")
    assert said(status, "Stalled") == ("False", "NotStalled")
    assert {item["type"] for item in status["conditions"]} == ALL
    assert {item["observedGeneration"] for item in status["conditions"]} == {7}
    assert status["observedGeneration"] == 7
    assert (status["nodes"], status["readyNodes"], status["minimumSigners"]) == (4, 4, 3)
    assert status["selector"] == (
        "app.kubernetes.io/component=node,app.kubernetes.io/instance=eth,"
        "app.kubernetes.io/name=gossip-price"
    )
    assert (status["epoch"]["number"], status["epoch"]["members"]) == (1, 4)
    assert status["epoch"]["start"] == "2027-01-15T08:00:00Z"
    price = status["lastPrice"]
    assert (price["pair"], price["price"], price["signers"]) == ("ETH-USD", "3001.12345678", 4)
    assert price["time"] == "2027-01-15T08:00:02Z"


def test_what_has_not_changed_is_told_in_the_same_words_at_any_time() -> None:
    observed = observe_running(DESIRED)
    first = tell(observed)
    assert compute_status(view(observed), NOW + 300, first) == first


def test_a_transition_time_is_that_of_the_last_change_of_truth() -> None:
    observed = observe_running(DESIRED)
    first = tell(observed)
    down = replace(observed, nodes={**observed.nodes, 2: Workload("x", trouble="OOMKilled")})
    second = compute_status(view(down), NOW + 10, first)
    third = compute_status(view(observed), NOW + 20, second)
    times = [find(status, "NodesReady")["lastTransitionTime"] for status in (first, second, third)]
    assert len(set(times)) == 3
    same = [find(status, "PostgresReady")["lastTransitionTime"] for status in (first, third)]
    assert same[0] == same[1]
    assert "node 2: OOMKilled" in find(second, "NodesReady")["message"]


def test_a_price_is_told_once_a_round_however_often_it_is_signed() -> None:
    observed = observe_running(DESIRED)
    three = {n: make_health(NOW) for n in range(4)}
    for number, health in three.items():
        three[number] = replace(health, prices=(replace(health.prices[0], signers=3),))
    first = tell(replace(observed, health=three))
    assert first["lastPrice"]["signers"] == 3
    assert compute_status(view(observed), NOW + 5, first) == first
    later = {n: make_health(NOW + 600) for n in range(4)}
    next_round = compute_status(view(replace(observed, health=later)), NOW + 600, first)
    assert next_round["lastPrice"]["round"] == first["lastPrice"]["round"] + 600


def test_a_node_that_cannot_be_asked_is_unknown_and_not_false() -> None:
    observed = observe_running(DESIRED, health={})
    status = tell(observed, now=START + 5_000)
    assert said(status, "PeersConnected") == ("Unknown", "NodesNotAsked")
    assert said(status, "PricesFlowing") == ("Unknown", "NodesNotAsked")
    assert said(status, "NodesReady") == ("True", "Ready")
    assert said(status, "Ready")[0] == "Unknown"


def test_a_node_without_peers_is_named() -> None:
    observed = observe_running(DESIRED)
    alone = {**observed.health, 3: make_health(NOW, peers=0)}
    status = tell(replace(observed, health=alone))
    assert said(status, "PeersConnected") == ("False", "NodesAlone")
    assert "node 3" in find(status, "PeersConnected")["message"]
    assert said(status, "Ready")[0] == "False"


@pytest.mark.parametrize(
    ("age_s", "expected", "ready"),
    [(0, ("Unknown", "FirstPriceDue"), "True"), (1_200, ("Unknown", "FirstPriceDue"), "True"),
     (1_291, ("False", "NoPrices"), "False")],
)  # fmt: skip
def test_a_new_network_is_given_two_intervals_for_its_first_price(
    age_s: int, expected: tuple[str, str], ready: str
) -> None:
    silent = {n: make_health(NOW, prices=()) for n in range(4)}
    observed = observe_running(DESIRED, health=silent)
    status = tell(observed, now=START + age_s, created=START)
    assert said(status, "PricesFlowing") == expected
    assert said(status, "Ready")[0] == ready


def test_prices_that_stop_are_told_with_the_pairs() -> None:
    status = tell(observe_running(DESIRED), now=START + 1_291)
    assert said(status, "PricesFlowing") == ("False", "NoPrices")
    assert "ETH-USD" in find(status, "PricesFlowing")["message"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"postgres": None}, ("False", "Creating")),
        ({"postgres": Workload("p", trouble="Pending: no volume")}, ("False", "NotReady")),
        ({"migration": JobState.RUNNING}, ("False", "Migrating")),
        (
            {"migration": JobState.RUNNING, "migration_trouble": "password refused"},
            ("False", "MigrationFailing"),
        ),
        ({"migration": JobState.FAILED}, ("False", "MigrationFailed")),
        ({"health": {0: make_health(NOW, store_up=False)}}, ("False", "NotReachable")),
        ({"health": {}}, ("True", "Running")),
        ({}, ("True", "Reachable")),
    ],
)
def test_the_database_is_told_as_it_is(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(tell(observe_running(DESIRED, **changes)), "PostgresReady") == expected


def test_why_the_database_cannot_be_had_is_said_and_that_nothing_is_stored() -> None:
    silent = make_health(NOW, store_up=False, store_problem="SQLSTATE 28P01: password")
    status = tell(observe_running(DESIRED, health=dict.fromkeys(range(4), silent)))
    assert said(status, "PostgresReady") == ("False", "NotReachable")
    assert "(SQLSTATE 28P01: password)" in find(status, "PostgresReady")["message"]
    assert said(status, "PricesFlowing") == ("False", "NotStored")
    assert said(status, "NodesReady") == ("True", "Ready")
    failing = observe_running(DESIRED, migration=JobState.RUNNING, migration_trouble="refused")
    assert "(refused)" in find(tell(failing), "PostgresReady")["message"]


def test_a_foreign_database_that_nobody_can_ask_for_is_unknown() -> None:
    desired = make_desired(make_inputs({"postgres": {"external": {"secretName": "url"}}}))
    observed = observe_running(desired, health={})
    plan = make_plan(desired, observed, NOW)
    status = compute_status(View("eth", 1, START, desired.spec, observed, plan), NOW)
    assert said(status, "PostgresReady") == ("Unknown", "NodesNotAsked")


def test_a_bootstrap_that_is_missing_is_counted() -> None:
    status = tell(observe_running(DESIRED, bootstrap=Workload("b", trouble="ErrImagePull")))
    assert said(status, "BootstrapReady") == ("False", "NotReady")
    assert "0 of 1 bootstraps are ready (ErrImagePull)" in find(status, "BootstrapReady")["message"]


def test_a_rollout_is_reconciling_and_not_ready() -> None:
    observed = observe_running(DESIRED)
    old = dict.fromkeys(observed.nodes, make_ready("old"))
    status = tell(replace(observed, nodes=old))
    assert said(status, "Reconciling") == ("True", "RollingOut")
    assert said(status, "Ready") == ("False", "RollingOut")
    assert said(status, "Stalled")[0] == "False"


def test_what_only_a_person_can_mend_is_stalled_with_the_remedy() -> None:
    lost = Trouble("IdentityLost", "Secret eth-node-2 is gone; remedy: restore it")
    status = tell(observe_running(DESIRED, troubles=(lost,)))
    assert said(status, "Stalled") == ("True", "IdentityLost")
    assert "restore it" in find(status, "Stalled")["message"]
    assert said(status, "Ready") == ("False", "IdentityLost")
    assert said(status, "Reconciling") == ("False", "IdentityLost")
    assert "as the spec wants it" not in find(status, "Reconciling")["message"]


def test_a_spec_that_cannot_be_read_is_stalled_and_what_was_told_stays() -> None:
    before = tell(observe_running(DESIRED))
    wrong = Trouble("InvalidSpec", "spec.nodes.count: 2 given, allowed: at least 3")
    status = compute_status(View("eth", 2, START, None, Observed(), None, (wrong,)), NOW, before)
    assert said(status, "Stalled") == ("True", "InvalidSpec")
    assert said(status, "Ready") == ("False", "InvalidSpec")
    assert "at least 3" in find(status, "Ready")["message"]
    assert {item["observedGeneration"] for item in status["conditions"]} == {2}
    assert (status["readyNodes"], status["lastPrice"]) == (4, before["lastPrice"])


def test_a_message_is_never_longer_than_anybody_reads() -> None:
    long = Trouble("Long", "x" * 50_000)
    status = tell(observe_running(DESIRED, troubles=(long,)))
    assert all(len(item["message"]) <= 1024 for item in status["conditions"])
