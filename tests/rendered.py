"""Rendered networks for golden manifests and for the rules that all of them keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from gossip_price.network.spec import load_yaml
from gossip_price_operator.inputs import Capabilities, Database, Defaults, Inputs, Manifest
from gossip_price_operator.observed import Observed
from gossip_price_operator.plan import make_plan
from gossip_price_operator.resources import render
from gossip_price_operator.resources.keys import make_bootstrap_identity, make_node_identity
from gossip_price_operator.resources.migration import make_migration
from gossip_price_operator.resources.postgres import make_postgres_secret
from operator_cases import (
    DEFAULTS,
    NETWORK_ID,
    PLAIN,
    START,
    make_desired,
    make_inputs,
    make_secret,
)

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
PARTNER: Final = "16Uiu2HAm3cuhhRL2msUuLF62KRSfneFDx94RsuouyW25Ho42cFMq"


def _load_spec(name: str) -> dict[str, Any]:
    spec = load_yaml((EXAMPLES / name).read_text())["spec"]
    return dict(spec)


@dataclass(frozen=True)
class Given:
    """A network as people, the operator's settings and a cluster give it: one can write it down."""

    name: str
    spec: dict[str, Any]
    database: Database | None = None
    capabilities: Capabilities = PLAIN
    defaults: Defaults = DEFAULTS

    def make_inputs(self) -> Inputs:
        inputs = make_inputs(
            self.spec, name=self.name, capabilities=self.capabilities, database=self.database
        )
        return replace(inputs, defaults=self.defaults)


GIVEN: Final[Mapping[str, Given]] = {
    "network": Given("eth-usd", _load_spec("network.yaml")),
    "everything": Given(
        "treasury",
        _load_spec("everything.yaml"),
        capabilities=Capabilities(pod_monitor=True, prometheus_rule=True),
    ),
    "external-open": Given(
        "open",
        {
            "nodes": {"count": 3},
            "price": {
                "sources": [
                    {"name": "mine", "url": "http://prices.local:9000/{pair}", "path": ["a", "$$b"]}
                ]
            },
            "postgres": {"external": {"secretName": "warehouse", "key": "dsn"}},
            "access": {
                "mode": "Open",
                "peers": {"bootstrap": [f"/dns4/b.partner.example/tcp/9001/p2p/{PARTNER}"]},
                "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
            },
            "deletionPolicy": "Delete",
        },
        Database("warehouse", "dsn", port=6432, fingerprint="f1"),
        Capabilities(ip_family="ip6"),
    ),
    "cloudnativepg": Given(
        "a-name-that-is-as-long-as-kubernetes-lets-a-name-of-it-be-here",
        {"nodes": {"count": 3}, "postgres": {"cloudNativePG": {"clusterName": "pg"}}},
        Database("pg-app", "uri", fingerprint="f2"),
    ),
}
CASES: Final[Mapping[str, Inputs]] = {name: given.make_inputs() for name, given in GIVEN.items()}


def render_all(inputs: Inputs) -> list[Manifest]:
    """Return everything that a network becomes, what is created once included."""
    plan = make_plan(make_desired(inputs), Observed(), START)
    assert plan.file is not None
    network_id = "0x" + NETWORK_ID.hex()
    made_once = [
        *(
            make_node_identity(
                inputs,
                number,
                signing=make_secret(number),
                identity=make_secret(1000 + number),
                network_id=network_id,
            )
            for number in inputs.nodes
        ),
        *(
            make_bootstrap_identity(
                inputs, ordinal, identity=make_secret(2000 + ordinal), network_id=network_id
            )
            for ordinal in inputs.bootstraps
        ),
    ]
    if inputs.spec.postgres.managed is not None:
        made_once.append(make_postgres_secret(inputs, password="p/w"))
    return [*made_once, *render(inputs, plan.file, plan.keep), make_migration(inputs)]


def list_pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield (name, pod spec) of every workload."""
    for manifest in manifests:
        if template := manifest.get("spec", {}).get("template"):
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", template["spec"]


def format_manifests(manifests: list[Manifest]) -> str:
    return yaml.safe_dump_all(manifests, sort_keys=False, width=100, allow_unicode=True)
