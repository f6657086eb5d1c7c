from __future__ import annotations

from dataclasses import replace

import pytest

import gossip_price_operator.plan
from gossip_price.network.document import NetworkFile
from gossip_price.network.spec import make_network_file
from gossip_price_operator.observed import JobState, Observed, Trouble, Workload
from gossip_price_operator.plan import Desired, make_plan
from gossip_price_operator.planned import Plan
from operator_cases import (
    START,
    make_desired,
    make_health,
    make_inputs,
    make_ready,
    observe_running,
    settle_plan,
)

NOW = START + 100
OTHER = "ghcr.io/gossip-price/node:0.2.0"


def reasons(plan: Plan) -> list[str]:
    return [wait.reason for wait in plan.waits]


def want(spec: dict[str, object] | None = None, identities: int | None = None) -> Desired:
    return make_desired(make_inputs(spec, identities=identities))


def test_a_new_network_gets_a_document_of_all_its_nodes_and_all_nodes_at_once() -> None:
    plan = make_plan(want(), Observed(), NOW)
    assert plan.file is not None
    (document,) = plan.file.epochs
    assert (document.epoch, len(document.members), document.minimum_signers) == (1, 4, 3)
    assert plan.apply == plan.keep == (0, 1, 2, 3)
    assert [address.split("/")[2] for address in plan.file.peers.bootstrap] == [
        "eth-bootstrap-0.eth-bootstrap.prices.svc"
    ]
    assert not plan.is_done


def test_a_network_that_is_as_wanted_waits_for_nothing_and_stays_as_it_is() -> None:
    desired = want()
    plan, again = settle_plan(desired, observe_running(desired), NOW)
    assert plan.is_done
    assert make_plan(desired, again, NOW + 5) == plan


def test_a_node_without_identity_is_waited_for_and_nothing_is_changed() -> None:
    plan = make_plan(want(identities=3), Observed(), NOW)
    assert (plan.file, plan.apply, reasons(plan)) == (None, (), ["IdentitiesMissing"])


def test_a_paused_network_and_one_in_trouble_are_left_alone() -> None:
    lost = Trouble("IdentityLost", "node 2: put it back")
    for desired, troubles, reason in (
        (want({"paused": True}), (), "Paused"),
        (want(), (lost,), "IdentityLost"),
    ):
        observed = observe_running(desired, troubles=troubles)
        plan = make_plan(desired, replace(observed, nodes={0: make_ready("old")}), NOW)
        assert (plan.apply, plan.remove, reasons(plan)) == ((), (), [reason])
        assert plan.file == observed.file


# --- rolling --------------------------------------------------------------------------------


def roll(desired: Desired) -> Observed:
    observed = observe_running(desired)
    return replace(observed, nodes=dict.fromkeys(observed.nodes, make_ready("old")))


def test_a_rollout_takes_one_node_after_another_each_ready_before_the_next() -> None:
    desired = want()
    observed = roll(desired)
    order = []
    for _ in range(4):
        plan = make_plan(desired, observed, NOW)
        (number,) = [n for n in plan.apply if observed.nodes[n].template_hash == "old"]
        order.append(number)
        assert "RollingOut" in reasons(plan)
        half = Workload(desired.templates[number], image=observed.nodes[number].image)
        observed = replace(observed, nodes={**observed.nodes, number: half})
        waiting = make_plan(desired, observed, NOW)
        assert not [n for n in waiting.apply if observed.nodes[n].template_hash == "old"]
        assert f"node {number}" in waiting.waits[0].message
        up = make_ready(desired.templates[number])
        observed = replace(observed, nodes={**observed.nodes, number: up})
    assert order == [0, 1, 2, 3]
    assert make_plan(desired, observed, NOW).is_done


def test_a_rollout_that_is_stuck_says_where_and_goes_on_when_mended() -> None:
    desired = want()
    observed = roll(desired)
    stuck = Workload(desired.templates[0], trouble="ImagePullBackOff: no such image")
    plan = make_plan(desired, replace(observed, nodes={**observed.nodes, 0: stuck}), NOW)
    assert plan.apply == (0,)  # as it is already: nothing is changed
    assert "node 0 (ImagePullBackOff: no such image)" in plan.waits[0].message
    mended = make_desired(make_inputs({"nodes": {"image": OTHER}}))
    plan = make_plan(mended, replace(observed, nodes={**observed.nodes, 0: stuck}), NOW)
    assert plan.apply == (0,)
    assert reasons(plan)[-1] == "RolloutWaiting"


def test_a_node_that_says_it_is_not_ready_is_as_good_as_down_and_replaced_first() -> None:
    desired = want()
    observed = roll(desired)
    sick = make_health(NOW, ready=False, problems={"clock": "27 s behind"})
    observed = replace(observed, health={**observed.health, 2: sick})
    plan = make_plan(desired, observed, NOW)
    assert plan.apply == (2,)
    assert "node 2 (27 s behind)" in plan.waits[0].message


def test_with_no_node_to_spare_it_rolls_just_after_a_settlement_and_says_so() -> None:
    desired = want({"nodes": {"count": 3}})
    observed = roll(desired)
    before = {n: make_health(NOW, settled_round=START - 600) for n in range(3)}
    plan = make_plan(desired, replace(observed, health=before), NOW)
    assert (plan.apply, reasons(plan)) == ((), ["RollingWithoutSpare"])
    plan = make_plan(desired, observed, NOW)
    assert (plan.apply, reasons(plan)) == ((0,), ["RollingWithoutSpare"])


def test_where_no_prices_flow_there_is_no_settlement_to_wait_for() -> None:
    desired = want({"nodes": {"count": 3}})
    dry = {n: make_health(NOW, settled_round=None) for n in range(3)}
    assert make_plan(desired, replace(roll(desired), health=dry), NOW).apply == (0,)


@pytest.mark.parametrize(
    ("state", "reason", "applied"),
    [
        (JobState.RUNNING, "Migrating", ()),
        (JobState.FAILED, "MigrationFailed", ()),
        (JobState.DONE, "RollingOut", (0,)),
    ],
)
def test_a_new_image_waits_for_its_schema(
    state: JobState, reason: str, applied: tuple[int, ...]
) -> None:
    desired = make_desired(make_inputs({"nodes": {"image": OTHER}}))
    plan = make_plan(desired, replace(roll(desired), migration=state), NOW)
    assert (plan.apply, reasons(plan)) == (applied, [reason])


def test_what_somebody_edited_on_all_nodes_at_once_is_put_back_one_by_one() -> None:
    desired = want()
    observed = observe_running(desired)
    edited = {n: replace(load, is_drifted=True) for n, load in observed.nodes.items()}
    assert make_plan(desired, replace(observed, nodes=edited), NOW).apply == (0,)


# --- scaling --------------------------------------------------------------------------------


def test_growing_admits_first_then_waits_for_ready_then_activates() -> None:
    desired = want({"nodes": {"count": 5}})
    small = observe_running(want())
    plan, observed = settle_plan(desired, small, NOW)
    assert plan.file is not None
    assert small.file is not None
    assert plan.file.epochs == small.file.epochs
    newcomer = desired.inputs.nodes[4]
    assert plan.file.peers.admitted == (newcomer.peer_id,)
    assert 4 in plan.apply
    assert "NewNodesNotReady" in reasons(plan)
    observed = replace(
        observed,
        nodes={**observed.nodes, 4: make_ready(desired.templates[4])},
        health={**observed.health, 4: make_health(NOW)},
    )
    plan, observed = settle_plan(desired, observed, NOW)
    assert plan.file is not None
    first, second = plan.file.epochs
    assert newcomer.member in second.members
    assert second.start >= NOW + 180
    assert second.previous == "0x" + first.hash.hex()
    assert "EpochStarting" in reasons(plan)
    assert make_plan(desired, observed, NOW + 10).file == plan.file
    in_force = replace(
        observed, health={n: make_health(second.start, proven_epoch=2) for n in range(5)}
    )
    assert make_plan(desired, in_force, second.start + 60).is_done


def test_shrinking_deactivates_then_drains_then_disconnects_and_deletes() -> None:
    five = want({"nodes": {"count": 5}})
    desired = make_desired(make_inputs(identities=5))
    leaving = desired.inputs.nodes[4]
    plan, observed = settle_plan(desired, observe_running(five), NOW)
    assert plan.file is not None
    second = plan.file.epochs[-1]
    assert leaving.member not in second.members
    assert leaving.peer_id in plan.file.peers.admitted
    assert (plan.remove, plan.keep) == ((), (0, 1, 2, 3, 4))
    assert "NodeLeaving" in reasons(make_plan(desired, observed, second.start - 1))
    at = second.start + 10
    plan, observed = settle_plan(desired, observed, at)
    assert (plan.remove, reasons(plan)) == ((), ["NodeDraining"])
    proven = replace(observed, health={n: make_health(at, proven_epoch=2) for n in observed.health})
    assert make_plan(desired, proven, at).remove == ()
    settled = second.start + second.settle_cap + second.skew
    plan = make_plan(desired, proven, settled)
    assert (plan.remove, plan.keep) == ((4,), (0, 1, 2, 3))
    assert plan.file is not None
    assert plan.file.peers.admitted == ()


def test_a_node_that_never_was_a_member_goes_at_once() -> None:
    desired = make_desired(make_inputs(identities=5))
    observed = observe_running(desired)
    late = replace(observed, nodes={**observed.nodes, 4: Workload("x")})
    assert make_plan(desired, late, NOW).remove == (4,)


def test_no_epoch_follows_one_in_which_nothing_was_proven() -> None:
    desired = want({"pairs": [{"name": "BTC-USD"}]})
    observed = observe_running(want())
    silent = {n: make_health(NOW, proven_epoch=None) for n in range(4)}
    plan = make_plan(desired, replace(observed, health=silent), NOW)
    assert plan.file is not None
    assert len(plan.file.epochs) == 1
    assert reasons(plan) == ["EpochUnproven"]
    plan = make_plan(desired, observed, NOW)
    assert plan.file is not None
    assert len(plan.file.epochs) == 2


def test_an_epoch_that_no_configmap_could_hold_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    desired = want({"pairs": [{"name": "BTC-USD"}]})
    observed = observe_running(want())
    assert observed.file is not None
    monkeypatch.setattr(gossip_price_operator.plan, "FILE_BYTES_MAX", len(observed.file.encode()))
    plan = make_plan(desired, observed, NOW)
    assert plan.file is not None
    assert len(plan.file.epochs) == 1
    assert (reasons(plan), plan.waits[0].is_stalled) == (["RecordFull"], True)


def test_newcomers_that_do_not_come_hold_up_nothing_else() -> None:
    desired = want({"nodes": {"count": 7}, "pairs": [{"name": "BTC-USD"}]})
    plan = make_plan(desired, observe_running(want()), NOW)
    assert plan.file is not None
    newest = plan.file.epochs[-1]
    assert ([terms.pair for terms in newest.pairs], len(newest.members)) == (["BTC-USD"], 4)


def test_no_message_runs_with_the_clock() -> None:
    desired = want({"pairs": [{"name": "BTC-USD"}]})
    plan, observed = settle_plan(desired, observe_running(want()), NOW)
    later = make_plan(desired, observed, NOW + 7)
    assert later.waits == plan.waits


# --- a supplied document --------------------------------------------------------------------


def supply(spec: dict[str, object] | None = None) -> tuple[Desired, NetworkFile]:
    inputs = make_inputs({"documentRef": {"name": "shared"}, **(spec or {})})
    members = [make_inputs(identities=6).nodes[number].member for number in range(6)]
    file = make_network_file(inputs.spec, members, network_id=bytes(32), start=START)
    return make_desired(inputs, file), file


def test_a_supplied_document_is_taken_as_it_is_with_our_peers_beside_it() -> None:
    desired, file = supply()
    plan = make_plan(desired, Observed(), NOW)
    assert plan.file is not None
    assert plan.file.epochs == file.epochs
    assert len(plan.file.peers.bootstrap) == 1


def test_a_supplied_document_that_does_not_go_on_from_ours_is_refused() -> None:
    desired, _ = supply()
    running = observe_running(want())
    plan = make_plan(desired, running, NOW)
    assert plan.file is not None
    assert running.file is not None
    assert plan.file.epochs == running.file.epochs
    assert (reasons(plan), plan.waits[0].is_stalled) == (["DocumentDiffers"], True)
    missing = make_plan(replace(desired, supplied=None), Observed(), NOW)
    assert (missing.file, reasons(missing)) == (None, ["DocumentMissing"])
