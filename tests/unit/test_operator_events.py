"""What a person is told in events: each turn once, with its time, and a warning only of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gossip_price_operator.conditions import format_time
from gossip_price_operator.events import make_events
from gossip_price_operator.observed import JobState, Observed, Trouble, Workload
from gossip_price_operator.plan import make_plan
from gossip_price_operator.status import View, compute_status
from operator_cases import START, make_desired, make_inputs, make_raw, make_ready, observe_running

NOW = START + 100
DESIRED = make_desired(make_inputs())
RUNNING = observe_running(DESIRED)
RAW = make_raw()
RESOURCE = {
    **RAW,
    "metadata": {
        **RAW["metadata"],
        "uid": "u",
        "resourceVersion": "1",
        "creationTimestamp": format_time(START + 5),
    },
}


def tell(
    observed: Observed, now: int = NOW, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    plan = make_plan(DESIRED, observed, now)
    view = View("eth", 1, START, DESIRED.spec, observed, plan)
    return compute_status(view, now, before)


def list_news(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(event["type"], event["reason"]) for event in make_events(RESOURCE, before, after)]


def test_a_status_that_stays_is_no_news() -> None:
    status = tell(RUNNING)
    assert make_events(RESOURCE, status, status) == []


def test_every_event_bears_the_time_of_what_it_tells() -> None:
    before = tell(RUNNING)
    after = tell(replace(RUNNING, postgres=Workload("p", trouble="OOMKilled")), NOW + 60, before)
    for event in make_events(RESOURCE, before, after):
        assert event["firstTimestamp"] == event["lastTimestamp"] == format_time(NOW + 60)


def test_an_epoch_in_force_is_told_as_of_its_start_and_never_before_the_network() -> None:
    (event,) = (e for e in make_events(RESOURCE, {}, tell(RUNNING)) if e["reason"] != "Ready")
    assert event["reason"] == "EpochInForce"
    assert event["firstTimestamp"] == format_time(START + 5)
    older = {**RESOURCE, "metadata": {**RESOURCE["metadata"], "creationTimestamp": None}}
    (event,) = (e for e in make_events(older, {}, tell(RUNNING)) if e["reason"] != "Ready")
    assert event["firstTimestamp"] == format_time(START)


@pytest.mark.parametrize(
    ("observed", "news"),
    [
        (replace(RUNNING, migration=JobState.RUNNING), {("Normal", "Migrating")}),
        (
            replace(RUNNING, nodes=dict.fromkeys(RUNNING.nodes, make_ready("old"))),
            {("Normal", "RollingOut")},
        ),
        (
            replace(RUNNING, nodes={**RUNNING.nodes, 2: Workload("x", trouble="OOMKilled")}),
            {("Warning", "NotReady")},
        ),
        (
            replace(RUNNING, postgres=Workload("p", trouble="OOMKilled")),
            {("Warning", "NotReady")},
        ),
        (replace(RUNNING, troubles=(Trouble("Lost", "a key"),)), {("Warning", "Lost")}),
    ],
)
def test_only_trouble_is_a_warning(observed: Observed, news: set[tuple[str, str]]) -> None:
    before = tell(RUNNING)
    assert set(list_news(before, tell(observed, NOW + 60, before))) == news


def test_a_new_network_that_is_not_ready_yet_is_no_trouble() -> None:
    assert {kind for kind, _ in list_news({}, tell(Observed()))} == {"Normal"}


def test_an_interrupted_writer_and_its_next_tell_one_event_of_one_name() -> None:
    before = tell(RUNNING)
    down = replace(RUNNING, postgres=Workload("p", trouble="OOMKilled"))
    names = [
        {event["metadata"]["name"] for event in make_events(RESOURCE, before, after)}
        for after in (tell(down, NOW + 60, before), tell(down, NOW + 65, before))
    ]
    assert names[0] == names[1]
    again = tell(RUNNING, NOW + 90, tell(down, NOW + 60, before))
    later = tell(down, NOW + 120, again)
    assert not names[0] & {e["metadata"]["name"] for e in make_events(RESOURCE, again, later)}
