"""What a person at a terminal sees of a network: columns, conditions, and events in their order."""

from __future__ import annotations

import re
from pathlib import Path

from kube_api import Api
from kube_cluster import Cluster
from kube_kubelet import Kubelet
from kube_networks import make_network, wait_condition, wait_ready
from kube_operator import Operator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operator.md"


async def test_get_and_describe_tell_how_a_network_is_and_since_when(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    await api.create("pricenetworks", make_network())
    await wait_ready(cluster, api)
    columns = (await cluster.kubectl("get", "-n", api.namespace, "pn", "-o", "wide")).split("\n")[0]
    assert columns.split() in [line.split() for line in PAGE.read_text().splitlines()]
    await api.delete("secrets", "eth-node-3")
    await wait_condition(api, "Stalled", "True", "IdentityMissing")
    described = await cluster.kubectl("describe", "-n", api.namespace, "pn", "eth")
    told = described[described.index("\nEvents:") :]
    assert "<unknown>" not in told
    assert "<invalid>" not in told
    assert "Ready: prices are agreed on" in told
    (stalled,) = (line for line in told.splitlines() if "Stalled: Secret eth-node-3" in line)
    assert stalled.split()[:2] == ["Warning", "IdentityMissing"]


async def test_what_the_readme_applies_becomes_a_network_that_is_ready(
    cluster: Cluster, api: Api, kubelet: Kubelet, operator: Operator
) -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"kubectl (apply (?:--server-side )?-f [\w/.-]+\.yaml)", readme)
    assert sorted(commands) == [
        "apply --server-side -f deploy/gossip-price.yaml",
        "apply -f examples/network.yaml",
    ]
    for command in sorted(commands):
        *options, file = command.split()
        # The first names its own namespace, and what is there no kubelet starts.
        where = () if "deploy/" in file else ("-n", api.namespace)
        await cluster.kubectl(*options, str(ROOT / file), *where)
    network = await wait_ready(cluster, api, "eth-usd")
    assert network["status"]["readyNodes"] == 4


async def test_explain_says_of_every_part_what_it_is_for(cluster: Cluster, api: Api) -> None:
    said = await cluster.kubectl("explain", "pn.spec")
    shown = PAGE.read_text()
    for part in ("pairs", "price", "consensus", "nodes", "postgres", "access", "deletionPolicy"):
        assert f"\n  {part}\t<" in said
    consensus = await cluster.kubectl("explain", "pn.spec.consensus")
    fields = consensus.replace("\t", " ").strip()
    fields = fields[fields.index("FIELD:") :]
    assert [line.rstrip() for line in fields.splitlines()] in find_blocks(shown), (
        f"docs/operator.md shows another text than: {fields}"
    )


def find_blocks(page: str) -> list[list[str]]:
    """Return what follows each command that the page shows, without its indentation."""
    blocks: list[list[str]] = []
    for line in page.splitlines():
        if line.startswith("    $ "):
            blocks.append([])
        elif blocks and (line.startswith("    ") or not line):
            blocks[-1].append(line[4:].rstrip())
        elif blocks:
            blocks.append([])
    return [strip_empty(block) for block in blocks]


def strip_empty(block: list[str]) -> list[str]:
    return "\n".join(block).strip("\n").splitlines()
