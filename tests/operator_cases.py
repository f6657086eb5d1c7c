"""Networks as the operator sees them, for tests of what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gossip_price.crypto import get_address
from gossip_price.network.document import NetworkFile
from gossip_price.network.keys import compute_peer_id, format_address
from gossip_price.network.spec import make_network_file, parse_network
from gossip_price_operator import names
from gossip_price_operator.inputs import Capabilities, Database, Defaults, Identity, Inputs
from gossip_price_operator.observed import JobState, LastPrice, NodeHealth, Observed, Workload
from gossip_price_operator.plan import Desired, make_plan
from gossip_price_operator.planned import Plan
from gossip_price_operator.resources.bootstrap import make_bootstrap_addresses
from gossip_price_operator.resources.metadata import get_template_hash
from gossip_price_operator.resources.node import make_node

NETWORK_ID = bytes(range(32))
START = 1_800_000_000
PLAIN = Capabilities()
DEFAULTS = Defaults(node_image="ghcr.io/gossip-price/node:0.1.0")


def make_raw(
    name: str = "eth", spec: Mapping[str, Any] | None = None, namespace: str = "prices"
) -> dict[str, Any]:
    return {
        "apiVersion": "gossip-price.io/v1alpha1",
        "kind": "PriceNetwork",
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec or {}),
    }


def make_secret(number: int) -> bytes:
    return (number + 1).to_bytes(32, "big")


def make_identity(number: int, name: str = "eth") -> Identity:
    return Identity(
        secret_name=names.node(name, number),
        peer_id=compute_peer_id(make_secret(1000 + number)),
        address=format_address(get_address(make_secret(number))),
    )


def make_inputs(
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "eth",
    identities: int | None = None,
    capabilities: Capabilities = PLAIN,
    database: Database | None = None,
) -> Inputs:
    network = parse_network(make_raw(name, spec))
    count = network.spec.nodes.count if identities is None else identities
    return Inputs(
        network=network,
        uid="7e0c2f4e-0000-4000-8000-000000000001",
        defaults=DEFAULTS,
        database=database or Database(names.postgres(name), fingerprint="made"),
        nodes={number: make_identity(number, name) for number in range(count)},
        bootstraps={
            ordinal: Identity(
                names.bootstrap_identity(name, ordinal),
                compute_peer_id(make_secret(2000 + ordinal)),
            )
            for ordinal in range(network.spec.bootstrap.replicas)
        },
        capabilities=capabilities,
    )


def make_desired(inputs: Inputs, supplied: NetworkFile | None = None) -> Desired:
    return Desired(
        inputs=inputs,
        templates={
            number: get_template_hash(make_node(inputs, number)) or ""
            for number in range(inputs.spec.nodes.count)
            if number in inputs.nodes
        },
        bootstrap_addresses=make_bootstrap_addresses(inputs),
        network_id=NETWORK_ID,
        supplied=supplied,
    )


def make_file(inputs: Inputs, start: int = START) -> NetworkFile:
    return make_network_file(
        inputs.spec,
        [inputs.nodes[number].member for number in range(inputs.spec.nodes.count)],
        network_id=NETWORK_ID,
        start=start,
    )


def make_ready(template: str | None, image: str = DEFAULTS.node_image) -> Workload:
    return Workload(template_hash=template, image=image, updated=1, ready=1)


def make_health(now: int, interval: int = 600, **changes: Any) -> NodeHealth:
    at = now - now % interval
    price = LastPrice("ETH-USD", "3001.12345678", at, 4, at + 2)
    health = NodeHealth(
        ready=True,
        peers=4,
        known_epoch=1,
        proven_epoch=1,
        prices=(price,),
        settled_round=at,
        store_up=True,
    )
    return replace(health, **changes)


def observe_running(desired: Desired, now: int = START + 100, **changes: Any) -> Observed:
    """Everything as it is wanted, and prices flow."""
    interval = desired.spec.price.interval
    observed = Observed(
        nodes={number: make_ready(template) for number, template in desired.templates.items()},
        bootstrap=Workload("b", replicas=desired.spec.bootstrap.replicas, updated=9, ready=9),
        postgres=make_ready("p"),
        migration=JobState.DONE,
        health={number: make_health(now, interval) for number in desired.templates},
        file=make_file(desired.inputs),
    )
    return replace(observed, **changes)


def settle_plan(desired: Desired, observed: Observed, now: int) -> tuple[Plan, Observed]:
    """Return a plan, and what is observed with the plan's file in place."""
    plan = make_plan(desired, observed, now)
    return plan, replace(observed, file=plan.file)
