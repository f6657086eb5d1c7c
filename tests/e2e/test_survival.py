"""Row 3: everything is killed, one after the other."""

from __future__ import annotations

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.network import Network, is_pod_ready
from e2e.release import NAMESPACE as RELEASE_NAMESPACE
from e2e.rounds import check_no_round_lost, get_round
from e2e.waiting import eventually


def test_whatever_is_killed_prices_go_on_and_nobody_signs_a_round_twice(
    cluster: Cluster, standing: Network
) -> None:
    first = get_round()
    for number in range(4):
        kill_pod(standing, standing.find_node_pods()[number])
    kill_pod(standing, standing.list_pods("bootstrap")[0])
    kill_pod(standing, standing.list_pods("postgres")[0])
    kill_operator(cluster)
    kill_process(standing, standing.find_node_pods()[0])
    standing.wait()
    check_no_round_lost(standing, "everything killed once", first)
    for pod in standing.find_node_pods().values():
        metrics = standing.ask(pod["metadata"]["name"], "/metrics").splitlines()
        told = [line for line in metrics if line.startswith("gossip_price_equivocations_total{")]
        assert len(told) >= 4
        assert all(line.endswith(" 0.0") for line in told), told


def kill_pod(network: Network, pod: Object) -> None:
    """Kill a pod without asking it, and wait until another one has taken its place."""
    name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
    keys = ("app.kubernetes.io/component", "app.kubernetes.io/instance", "gossip-price.io/node")
    selector = {key: labels[key] for key in keys if key in labels}
    network.kubectl("delete", "pod", name, "--force", "--grace-period=0")
    wait_for_another(network.cluster, network.namespace, selector, pod["metadata"]["uid"])
    network.wait()


def kill_operator(cluster: Cluster) -> None:
    labels = {"app.kubernetes.io/instance": "gossip-price"}
    (pod,) = cluster.api.list("pods", RELEASE_NAMESPACE, labels)
    where = ("-n", RELEASE_NAMESPACE, "delete", "pod", pod["metadata"]["name"])
    cluster.kubectl(*where, "--force", "--grace-period=0")
    wait_for_another(cluster, RELEASE_NAMESPACE, labels, pod["metadata"]["uid"])


def wait_for_another(cluster: Cluster, namespace: str, labels: dict[str, str], uid: str) -> None:
    def ask() -> bool:
        pods = cluster.api.list("pods", namespace, labels)
        others = [pod for pod in pods if pod["metadata"]["uid"] != uid]
        return any(is_pod_ready(pod) for pod in others)

    eventually(f"another pod of {labels} is ready", ask, 180)


def kill_process(network: Network, pod: Object) -> None:
    """SIGKILL a node's process from outside its container, and wait until it runs again."""
    name, machine = pod["metadata"]["name"], pod["spec"]["nodeName"]
    (status,) = pod["status"]["containerStatuses"]
    container = status["containerID"].removeprefix("containerd://")
    find = f"grep -l {container} /proc/[0-9]*/cgroup | cut -d/ -f3"
    pids = network.cluster.run_on(machine, "sh", "-c", find).split()
    assert len(pids) == 1, pids
    network.cluster.run_on(machine, "kill", "-KILL", *pids)

    def is_again() -> bool:
        now = network.cluster.api.get("pods", name, network.namespace)
        (again,) = now["status"]["containerStatuses"]
        return again["restartCount"] > status["restartCount"] and is_pod_ready(now)

    eventually(f"{name} is started again and ready", is_again, 180)
