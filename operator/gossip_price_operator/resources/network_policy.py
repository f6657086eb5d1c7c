"""NetworkPolicies: nothing may speak but by what stands here. Pure.

One policy denies everything to the network's pods, each further one allows what it is named for.
Policies speak of addresses and ports, not of names: an exchange is "TCP 443, anywhere". What
`podTemplate` adds (a sidecar, a mirror) goes through `access.extraEgress`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from gossip_price.network.document import NetworkFile
from gossip_price.network.multiaddrs import parse_multiaddr
from gossip_price.network.spec_parts import Access
from gossip_price_operator import names
from gossip_price_operator.inputs import (
    HTTP_PORT,
    P2P_PORT,
    POSTGRES_PORT,
    Inputs,
    Manifest,
)
from gossip_price_operator.resources.metadata import make_metadata

_P2P_COMPONENTS = (names.NODE, names.BOOTSTRAP)
_DATABASE_COMPONENTS = (names.NODE, names.MIGRATION)


def make_network_policies(inputs: Inputs, file: NetworkFile) -> list[Manifest]:
    """Return all of a network's policies."""
    policies = [
        _make_policy(inputs, "nothing", names.make_selector(inputs.name), ingress=[], egress=[]),
        _make_policy(
            inputs,
            "dns",
            names.make_selector(inputs.name),
            egress=[{"ports": [_port(53, "UDP"), _port(53, "TCP")]}],
        ),
        _make_p2p(inputs, file),
        _make_policy(
            inputs,
            "sources",
            names.make_selector(inputs.name, names.NODE),
            egress=[{"ports": [_port(port) for port in _list_source_ports(inputs)]}],
        ),
        _make_policy(
            inputs,
            "http",
            _select(inputs, _P2P_COMPONENTS),
            # Prices are public to the cluster: operator, Prometheus and readers come this way.
            ingress=[{"from": [{"namespaceSelector": {}}], "ports": [_port(HTTP_PORT)]}],
        ),
        *_make_database(inputs),
    ]
    extra = inputs.spec.access.extra_egress
    if extra:
        policies.append(
            _make_policy(
                inputs,
                "extra",
                names.make_selector(inputs.name, names.NODE),
                egress=[dict(rule) for rule in extra],
            )
        )
    return policies


def _make_p2p(inputs: Inputs, file: NetworkFile) -> Manifest:
    ours = [{"podSelector": _select(inputs, _P2P_COMPONENTS)}]
    ports = [_port(P2P_PORT)]
    ingress: list[Manifest] = [{"from": ours, "ports": ports}]
    egress: list[Manifest] = [{"to": ours, "ports": ports}]
    if _is_shared(inputs, file):
        # Others' members come from, and are at, addresses that only the p2p network knows;
        # who they are is proven by the Noise handshake.
        ingress = [{"ports": ports}]
        egress += [{"ports": [_port(port) for port in _list_foreign_ports(file)]}]
    return _make_policy(
        inputs, "p2p", _select(inputs, _P2P_COMPONENTS), ingress=ingress, egress=egress
    )


def _is_shared(inputs: Inputs, file: NetworkFile) -> bool:
    """Whether anybody beyond our own pods takes part."""
    ours = {identity.peer_id for identity in (*inputs.nodes.values(), *inputs.bootstraps.values())}
    peers = file.peers
    theirs = {*peers.admitted, *peers.listeners}
    theirs |= {parse_multiaddr(address).peer_id or "" for address in peers.bootstrap}
    if inputs.spec.document_ref is not None:
        # Members of epochs that we made are ours, those that were scaled away as well.
        theirs |= {member.peer_id for document in file.epochs for member in document.members}
    return inputs.spec.access.mode is Access.OPEN or not theirs <= ours


def _list_foreign_ports(file: NetworkFile) -> list[int]:
    return sorted({P2P_PORT, *(parse_multiaddr(text).port for text in file.peers.bootstrap)})


def _list_source_ports(inputs: Inputs) -> list[int]:
    ports = set()
    for source in inputs.spec.price.sources:
        parts = urlsplit(source.url)
        ports.add(parts.port or (443 if parts.scheme == "https" else 80))
    return sorted(ports)


def _make_database(inputs: Inputs) -> Iterable[Manifest]:
    postgres = inputs.spec.postgres
    to: list[Manifest] = []
    if postgres.managed is not None:
        to = [{"podSelector": {"matchLabels": names.make_selector(inputs.name, names.POSTGRES)}}]
        yield _make_policy(
            inputs,
            "clients",
            names.make_selector(inputs.name, names.POSTGRES),
            ingress=[
                {
                    "from": [{"podSelector": _select(inputs, _DATABASE_COMPONENTS)}],
                    "ports": [_port(POSTGRES_PORT)],
                }
            ],
        )
    elif postgres.cloud_native_pg is not None:
        cluster = postgres.cloud_native_pg.cluster_name
        to = [{"podSelector": {"matchLabels": {"cnpg.io/cluster": cluster}}}]
    rule: Manifest = {"ports": [_port(inputs.database.port)]}
    if to:
        rule["to"] = to
    yield _make_policy(inputs, "postgres", _select(inputs, _DATABASE_COMPONENTS), egress=[rule])


def _select(inputs: Inputs, components: Sequence[str]) -> Manifest:
    return {
        "matchLabels": names.make_selector(inputs.name),
        "matchExpressions": [
            {"key": names.COMPONENT, "operator": "In", "values": list(components)}
        ],
    }


def _port(number: int, protocol: str = "TCP") -> Manifest:
    return {"port": number, "protocol": protocol}


def _make_policy(
    inputs: Inputs,
    purpose: str,
    selector: Manifest,
    *,
    ingress: list[Any] | None = None,
    egress: list[Any] | None = None,
) -> Manifest:
    spec: Manifest = {
        "podSelector": selector if "matchLabels" in selector else {"matchLabels": selector},
        "policyTypes": [],
    }
    for kind, rules in (("Ingress", ingress), ("Egress", egress)):
        if rules is not None:
            spec["policyTypes"].append(kind)
            if rules:
                spec[kind.lower()] = rules
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": make_metadata(
            inputs, names.network_policy(inputs.name, purpose), names.NETWORK
        ),
        "spec": spec,
    }
