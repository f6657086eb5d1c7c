"""Row 4: a machine is drained, and a node's volume is lost."""

from __future__ import annotations

from datetime import datetime

from e2e import measured
from e2e.cluster import Cluster
from e2e.network import INTERVAL_S, Network, is_pod_ready
from e2e.rounds import check_no_round_lost, get_round
from e2e.waiting import eventually

QUORUM = 3
#: How far the clocks of two machines may be apart, by the document: for it a new journal waits.
SKEW_S = 5


def test_a_drain_leaves_the_quorum_and_a_lost_volume_is_made_up_for_elsewhere(
    cluster: Cluster, standing: Network
) -> None:
    first = get_round()
    machine, numbers = choose_machine(standing)
    drain = ("drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=45s")
    select = f"--pod-selector=app.kubernetes.io/instance={standing.name}"
    code, said = cluster.try_kubectl(*drain, select)
    assert code != 0
    assert "would violate the pod's disruption budget" in said
    # One was let go, and its journal binds it to the machine; no other one was.
    pods = standing.find_node_pods()
    evicted = [number for number in numbers if not is_pod_ready(pods[number])]
    assert len(evicted) == 1
    assert pods[evicted[0]]["status"]["phase"] == "Pending"
    assert standing.count_ready_nodes() == QUORUM
    standing.database.wait_for_price(after=get_round())
    cluster.kubectl("uncordon", machine)
    standing.wait()
    check_no_round_lost(standing, "a machine drained as far as the quorum lets it", first)

    number, uid = evicted[0], standing.find_node_pods()[evicted[0]]["metadata"]["uid"]
    name = f"{standing.name}-node-{number}"
    address = find_address(standing, number)
    cluster.kubectl("cordon", machine)
    standing.kubectl("delete", "persistentvolumeclaim", name, "--wait=false")
    standing.kubectl("delete", "pod", standing.find_node_pods()[number]["metadata"]["name"])

    def is_elsewhere() -> bool:
        pod = standing.find_node_pods().get(number)
        return pod is not None and pod["metadata"]["uid"] != uid and is_pod_ready(pod)

    eventually(f"node {number} is ready on another machine", is_elsewhere, 300)
    pod = standing.find_node_pods()[number]
    assert pod["spec"]["nodeName"] != machine
    cluster.kubectl("uncordon", machine)
    standing.wait()
    # A new journal remembers no vote: it signs only rounds that begin after its birth.
    born_s = datetime.fromisoformat(pod["status"]["startTime"]).timestamp()
    lost_s = int(born_s) // INTERVAL_S * INTERVAL_S

    def find_signed() -> list[int]:
        prices = standing.database.read()
        return [p.round for p in prices if p.round >= lost_s and address in p.signers]

    signed = eventually(f"node {number} signs again", find_signed, 180)
    assert min(signed) > born_s + SKEW_S

    def has_caught_up() -> bool:
        metrics = standing.ask(pod["metadata"]["name"], "/metrics").splitlines()
        (line,) = (line for line in metrics if line.startswith("gossip_price_catchups_total "))
        return float(line.split()[1]) > 0

    eventually(f"node {number} has learnt from its peers what it lost", has_caught_up, 420, 5)
    check_no_round_lost(standing, "a journal lost with its volume", lost_s)
    measured.report("node with a new journal", f"first signed {min(signed) - born_s:.0f} s after")


def choose_machine(network: Network) -> tuple[str, list[int]]:
    """Return a worker without the database, and the nodes on it."""
    (postgres,) = network.list_pods("postgres")
    by_machine: dict[str, list[int]] = {}
    for number, pod in network.find_node_pods().items():
        by_machine.setdefault(pod["spec"]["nodeName"], []).append(number)
    by_machine.pop(postgres["spec"]["nodeName"], None)
    ((machine, numbers),) = by_machine.items()
    assert len(numbers) > 1, "the scheduler put too few nodes beside the database's machine"
    return machine, numbers


def find_address(network: Network, number: int) -> str:
    secret = network.cluster.api.get("secrets", f"{network.name}-node-{number}", network.namespace)
    address: str = secret["metadata"]["annotations"]["gossip-price.io/address"]
    return address
