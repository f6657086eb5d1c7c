"""What is told about a network: the status, from what is wanted, seen and planned. Pure.

Identical arguments give an identical status, and nothing in it runs with the clock: so it is
written when something has changed and not otherwise. What could not be asked is Unknown, never
False. Ready says that the network is as its newest generation wants it, and that prices flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price_operator import names
from gossip_price_operator.conditions import (
    Condition,
    Truth,
    format_time,
    say_nodes,
    write_conditions,
)
from gossip_price_operator.observed import JobState, LastPrice, NodeHealth, Observed, Trouble
from gossip_price_operator.planned import Plan

#: A new network's first price, and any later one, may be late by so many intervals.
LATE_INTERVALS: Final = 2
#: What Ready shows of several troubles, the first of these.
_DOMAIN: Final = (
    "PostgresReady",
    "BootstrapReady",
    "NodesReady",
    "PeersConnected",
    "PricesFlowing",
)
_FIRST_PRICE_DUE: Final = "FirstPriceDue"


@dataclass(frozen=True)
class View:
    """What a status is computed from, besides the time.

    `spec` is None where it cannot be read: then `troubles` say why. `created` (Unix s) is the
    resource's creation. `plan` is the one just made from `observed`.
    """

    name: str
    generation: int
    created: int
    spec: NetworkSpec | None
    observed: Observed
    plan: Plan | None
    troubles: tuple[Trouble, ...] = ()


def compute_status(
    view: View, now: int, previous: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the whole status of a PriceNetwork at `now` (Unix s).

    `previous` is the status that it has: times of conditions that did not change, and the last
    price of the round that it tells of, are kept from there.
    """
    previous = previous or {}
    if view.spec is None or view.plan is None:
        return _tell_unreadable(view, now, previous)
    spec, observed, plan = view.spec, view.observed, view.plan
    document = _find_in_force(observed, now)
    domain = _judge(view, spec, document, now)
    conditions = [*_summarize(view, plan, domain), *domain]
    status: dict[str, Any] = {
        "observedGeneration": view.generation,
        "conditions": write_conditions(
            conditions, view.generation, now, previous.get("conditions")
        ),
        "nodes": len(observed.nodes),
        "readyNodes": sum(workload.is_ready for workload in observed.nodes.values()),
        "selector": names.format_selector(names.make_selector(view.name, names.NODE)),
    }
    if document is not None:
        status["minimumSigners"] = document.minimum_signers
        status["epoch"] = {
            "number": document.epoch,
            "hash": "0x" + document.hash.hex(),
            "members": len(document.members),
            "start": format_time(document.start),
        }
        status["networkId"] = document.network_id
    price = _tell_last_price(observed, document, previous.get("lastPrice"))
    if price is not None:
        status["lastPrice"] = price
    return status


def _tell_unreadable(view: View, now: int, previous: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status beside a spec that cannot be used: what runs is as it was."""
    said = "; ".join(trouble.message for trouble in view.troubles)
    reason = view.troubles[0].reason if view.troubles else "InvalidSpec"
    message = f"{said}; what runs is left as it is"
    conditions = [
        Condition("Ready", Truth.FALSE, reason, message),
        Condition("Reconciling", Truth.FALSE, reason, "nothing is done before it is mended"),
        Condition("Stalled", Truth.TRUE, reason, message),
        *(
            Condition(name, Truth.UNKNOWN, reason, "not looked at: the spec cannot be used")
            for name in _DOMAIN
        ),
    ]
    return {
        **previous,
        "observedGeneration": view.generation,
        "conditions": write_conditions(
            conditions, view.generation, now, previous.get("conditions")
        ),
    }


def _find_in_force(observed: Observed, now: int) -> Document | None:
    if observed.file is None:
        return None
    return EpochChain(observed.file.epochs).get_in_force(now) or observed.file.epochs[0]


# --- the summary ----------------------------------------------------------------------------


def _summarize(view: View, plan: Plan, domain: Iterable[Condition]) -> list[Condition]:
    stalls = [
        *view.troubles,
        *(Trouble(wait.reason, wait.message) for wait in plan.waits if wait.is_stalled),
    ]
    waits = [wait for wait in plan.waits if not wait.is_stalled]
    if plan.remove:
        said = f"{say_nodes(plan.remove)}: being removed"
        waits_said = [("NodesLeaving", said)]
    else:
        waits_said = []
    waits_said += [(wait.reason, wait.message) for wait in waits]
    bad = [
        condition
        for condition in domain
        if condition.truth is not Truth.TRUE and condition.reason != _FIRST_PRICE_DUE
    ]
    reconciling = _make_reconciling(stalls, waits_said, bad)
    stalled = (
        Condition("Stalled", Truth.TRUE, stalls[0].reason, "; ".join(t.message for t in stalls))
        if stalls
        else Condition("Stalled", Truth.FALSE, "NotStalled", "nothing waits for a person")
    )
    return [_make_ready(stalls, waits_said, bad), reconciling, stalled]


def _make_reconciling(
    stalls: list[Trouble], waits: list[tuple[str, str]], bad: list[Condition]
) -> Condition:
    if waits:
        message = "; ".join(said for _, said in waits)
        return Condition("Reconciling", Truth.TRUE, waits[0][0], message)
    if any(condition.truth is Truth.FALSE for condition in bad):
        first = next(condition for condition in bad if condition.truth is Truth.FALSE)
        return Condition("Reconciling", Truth.TRUE, first.reason, first.message)
    if stalls:
        said = "nothing is on its way before what Stalled tells of is mended"
        return Condition("Reconciling", Truth.FALSE, stalls[0].reason, said)
    return Condition("Reconciling", Truth.FALSE, "Reconciled", "all is as the spec wants it")


def _make_ready(
    stalls: list[Trouble], waits: list[tuple[str, str]], bad: list[Condition]
) -> Condition:
    if stalls:
        return Condition("Ready", Truth.FALSE, stalls[0].reason, stalls[0].message)
    false = [condition for condition in bad if condition.truth is Truth.FALSE]
    if false:
        message = "; ".join(condition.message for condition in false)
        return Condition("Ready", Truth.FALSE, false[0].reason, message)
    if waits:
        return Condition("Ready", Truth.FALSE, waits[0][0], waits[0][1])
    if bad:
        return Condition("Ready", Truth.UNKNOWN, bad[0].reason, bad[0].message)
    return Condition("Ready", Truth.TRUE, "Ready", "prices are agreed on and stored")


# --- the domain's own -----------------------------------------------------------------------


def _judge(view: View, spec: NetworkSpec, document: Document | None, now: int) -> list[Condition]:
    observed = view.observed
    numbers = range(spec.nodes.count)
    asked = {number: observed.health[number] for number in numbers if number in observed.health}
    return [
        _judge_postgres(spec, observed, asked),
        _judge_bootstrap(spec, observed),
        _judge_nodes(spec, observed),
        _judge_peers(spec, asked),
        _judge_prices(view, spec, document, asked, now),
    ]


def _judge_postgres(
    spec: NetworkSpec, observed: Observed, asked: Mapping[int, NodeHealth]
) -> Condition:
    say = _sayer("PostgresReady")
    if spec.postgres.managed is not None:
        workload = observed.postgres
        if workload is None:
            return say(Truth.FALSE, "Creating", "the database is being made")
        if not workload.is_ready:
            trouble = f" ({workload.trouble})" if workload.trouble else ""
            return say(
                Truth.FALSE,
                "NotReady",
                f"the database's pod is not ready{trouble}; prices are proven and kept by the nodes"
                " until it is; remedy: kubectl describe the StatefulSet's pod",
            )
    match observed.migration:
        case JobState.FAILED:
            return say(
                Truth.FALSE,
                "MigrationFailed",
                "the schema could not be made; remedy: see the migration Job's log, mend it, and"
                " delete the Job to try again",
            )
        case JobState.MISSING | JobState.RUNNING if observed.migration_trouble:
            return say(
                Truth.FALSE,
                "MigrationFailing",
                f"the schema could not be made yet ({observed.migration_trouble}), and is tried"
                " again; remedy: check the URL in the Secret, and the database",
            )
        case JobState.MISSING | JobState.RUNNING:
            return say(Truth.FALSE, "Migrating", "the schema is being made")
        case JobState.DONE:
            pass
    answers = [health.store_up for health in asked.values() if health.store_up is not None]
    if any(answers):
        return say(Truth.TRUE, "Reachable", "the schema is there and nodes reach the database")
    if answers:
        problems = [health.store_problem for health in asked.values() if health.store_problem]
        why = f" ({problems[0]})" if problems else ""
        return say(
            Truth.FALSE,
            "NotReachable",
            f"no node reaches the database{why}; prices are proven and kept by the nodes until one"
            " does; remedy: check the URL in the Secret, the database and its NetworkPolicies",
        )
    if spec.postgres.managed is not None:
        return say(Truth.TRUE, "Running", "the database runs and the schema is there")
    return say(Truth.UNKNOWN, "NodesNotAsked", "no node could be asked whether it reaches it")


def _judge_bootstrap(spec: NetworkSpec, observed: Observed) -> Condition:
    say = _sayer("BootstrapReady")
    workload, wanted = observed.bootstrap, spec.bootstrap.replicas
    if workload is None:
        return say(Truth.FALSE, "Creating", "the bootstrap is being made")
    if workload.is_ready and workload.replicas == wanted:
        return say(Truth.TRUE, "Ready", f"{wanted} of {wanted} bootstraps are ready")
    trouble = f" ({workload.trouble})" if workload.trouble else ""
    return say(
        Truth.FALSE,
        "NotReady",
        f"{min(workload.ready, wanted)} of {wanted} bootstraps are ready{trouble}; connected nodes"
        " stay connected, newcomers find nobody without one",
    )


def _judge_nodes(spec: NetworkSpec, observed: Observed) -> Condition:
    say = _sayer("NodesReady")
    count = spec.nodes.count
    bad = []
    for number in range(count):
        workload, health = observed.nodes.get(number), observed.health.get(number)
        if workload is None:
            bad.append(f"node {number}: being made")
        elif not workload.is_ready:
            bad.append(f"node {number}: {workload.trouble or 'not ready'}")
        elif health is not None and not health.ready:
            said = "; ".join(health.problems.values()) or "it says that it is not ready"
            bad.append(f"node {number}: {said}")
    if not bad:
        return say(Truth.TRUE, "Ready", f"{count} of {count} nodes are ready")
    return say(
        Truth.FALSE,
        "NotReady",
        f"{count - len(bad)} of {count} nodes are ready; " + ", ".join(bad),
    )


def _judge_peers(spec: NetworkSpec, asked: Mapping[int, NodeHealth]) -> Condition:
    say = _sayer("PeersConnected")
    alone = [number for number, health in asked.items() if health.peers == 0]
    if alone:
        return say(
            Truth.FALSE,
            "NodesAlone",
            f"{say_nodes(alone)}: no peer; remedy: check the bootstrap, NetworkPolicies on port"
            " 8000 and, in a shared network, access.peers",
        )
    silent = [
        number
        for number in range(spec.nodes.count)
        if number not in asked or asked[number].peers is None
    ]
    if silent:
        return say(
            Truth.UNKNOWN,
            "NodesNotAsked",
            f"{say_nodes(silent)}: could not be asked; remedy: let the operator reach port 8080 of"
            " the pods",
        )
    return say(Truth.TRUE, "Connected", "every node is connected to others")


def _judge_prices(
    view: View,
    spec: NetworkSpec,
    document: Document | None,
    asked: Mapping[int, NodeHealth],
    now: int,
) -> Condition:
    say = _sayer("PricesFlowing")
    if document is None:
        return say(Truth.UNKNOWN, _FIRST_PRICE_DUE, "the network is being made")
    late_s = LATE_INTERVALS * document.interval
    newest = _find_newest(asked.values())
    pairs = [terms.pair for terms in document.pairs]
    # The round of a price that is just in time began `late_s` ago, and takes its time to be told.
    bound = now - late_s - document.settle_cap
    late = [pair for pair in pairs if pair not in newest or newest[pair].round < bound]
    stores = [health.store_up for health in asked.values() if health.store_up is not None]
    if asked and not late and stores and not any(stores):
        return say(
            Truth.FALSE,
            "NotStored",
            "prices are agreed on and not stored, for no node reaches the database; nodes keep them"
            " for 7 days and store all of them when it is back",
        )
    if asked and not late:
        return say(Truth.TRUE, "Flowing", f"every price is newer than {LATE_INTERVALS} rounds")
    if now < max(document.start, view.created) + late_s + document.settle_cap:
        return say(
            Truth.UNKNOWN,
            _FIRST_PRICE_DUE,
            f"the first prices are due within {LATE_INTERVALS} rounds of {document.interval} s",
        )
    # Those that could be asked know of none, but those that could not may.
    if len(asked) < spec.nodes.count and not newest:
        return say(
            Truth.UNKNOWN,
            "NodesNotAsked",
            "too few nodes could be asked for their last price; remedy: let the operator reach port"
            " 8080 of the pods",
        )
    return say(
        Truth.FALSE,
        "NoPrices",
        f"no price for {LATE_INTERVALS} rounds: {', '.join(late)}; {document.minimum_signers} of"
        f" {len(document.members)} members must agree; remedy: see the nodes' logs for what they"
        " miss (price sources, peers, clock)",
    )


def _sayer(name: str) -> Callable[[Truth, str, str], Condition]:
    return lambda truth, reason, message: Condition(name, truth, reason, message)


# --- the last price -------------------------------------------------------------------------


def _find_newest(asked: Iterable[NodeHealth]) -> dict[str, LastPrice]:
    """Return the newest price of each pair that any node tells of, with the most signers."""
    newest: dict[str, LastPrice] = {}
    for health in asked:
        for price in health.prices:
            held = newest.get(price.pair)
            if held is None or (price.round, price.signers) > (held.round, held.signers):
                newest[price.pair] = price
    return newest


def _tell_last_price(
    observed: Observed, document: Document | None, before: object
) -> dict[str, Any] | None:
    """Return the newest price of the first pair, told once a round however often it is signed."""
    held = dict(before) if isinstance(before, Mapping) else None
    if document is None:
        return held
    price = _find_newest(observed.health.values()).get(document.pairs[0].pair)
    if price is None:
        return held
    if held is not None and held.get("pair") == price.pair and held.get("round", 0) >= price.round:
        return held
    return {
        "pair": price.pair,
        "price": price.price,
        "round": price.round,
        "signers": price.signers,
        "time": format_time(price.time),
    }
