"""Everything that a PriceNetwork becomes, as plain manifests in the order they are applied. Pure.

Not among them, because they are created once and never applied: identity Secrets (`keys`), the
database's password (`postgres.make_postgres_secret`) and the migration's Job (`migration`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gossip_price.network.document import NetworkFile
from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.bootstrap import make_bootstrap, make_bootstrap_service
from gossip_price_operator.resources.disruption import make_bootstrap_budget, make_nodes_budget
from gossip_price_operator.resources.keys import make_kept_metadata
from gossip_price_operator.resources.monitoring import make_pod_monitor, make_rules
from gossip_price_operator.resources.network_file import make_network_files
from gossip_price_operator.resources.network_policy import make_network_policies
from gossip_price_operator.resources.node import make_journal_volume, make_node
from gossip_price_operator.resources.postgres import (
    make_postgres,
    make_postgres_secret_metadata,
    make_postgres_service,
    make_postgres_volume,
)
from gossip_price_operator.resources.service import make_nodes_service, make_service_account


def render(inputs: Inputs, file: NetworkFile, numbers: Collection[int]) -> list[Manifest]:
    """Return the manifests of a network whose nodes are `numbers`, in the order of applying them.

    `file` is what the plan says that nodes should see, `numbers` the nodes that it keeps; a
    node's Deployment is the manifest with its label `gossip-price.io/node`, and it is the plan
    that says which of those to apply now.
    """
    return list(_render(inputs, file, numbers))


def _render(inputs: Inputs, file: NetworkFile, numbers: Collection[int]) -> Iterator[Manifest]:
    spec = inputs.spec
    # Before any pod: what it may reach, who it is, what it mounts.
    yield from make_network_policies(inputs, file)
    yield make_service_account(inputs, names.nodes(inputs.name), names.NODE)
    yield make_service_account(inputs, names.bootstrap(inputs.name), names.BOOTSTRAP)
    existing = {secret.secret_name for secret in spec.keys.existing}
    for number, identity in sorted(inputs.nodes.items()):
        if identity.secret_name not in existing:
            yield make_kept_metadata(inputs, identity.secret_name, number)
    for _, identity in sorted(inputs.bootstraps.items()):
        yield make_kept_metadata(inputs, identity.secret_name, None)
    yield from make_network_files(inputs, file)
    if spec.postgres.managed is not None:
        yield make_service_account(inputs, names.postgres(inputs.name), names.POSTGRES)
        yield make_postgres_secret_metadata(inputs)
        yield make_postgres_volume(inputs, spec.postgres.managed)
        yield make_postgres_service(inputs)
        yield make_postgres(inputs, spec.postgres.managed)
    yield make_bootstrap_service(inputs)
    yield make_bootstrap_budget(inputs)
    yield make_bootstrap(inputs)
    yield make_nodes_service(inputs)
    yield make_nodes_budget(inputs, file)
    for number in sorted(numbers):
        yield make_journal_volume(inputs, number)
        yield make_node(inputs, number)
    if spec.monitoring.pod_monitor and inputs.capabilities.pod_monitor:
        yield make_pod_monitor(inputs)
    if spec.monitoring.rules and inputs.capabilities.prometheus_rule:
        yield make_rules(inputs)
