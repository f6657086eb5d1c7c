"""What a person would look at after a failure, written to build/e2e/<test>/: all of it, at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from e2e.cluster import Cluster
from e2e.network import NAMESPACE_LABELS
from e2e.price_feed import NAMESPACE as FEED_NAMESPACE
from e2e.programs import ROOT

FOLDER: Final = ROOT / "build" / "e2e"
_KINDS: Final = (
    "pricenetworks,pods,deployments,statefulsets,jobs,services,persistentvolumeclaims,"
    "poddisruptionbudgets,networkpolicies,configmaps"
)
#: Enough of a log to see how it came; a node writes some ten lines a round.
_LOG_LINES: Final = 2_000
_AT_ONCE: Final = 4


def collect(cluster: Cluster, test: str, release_namespace: str) -> Path:
    """Write events, descriptions and logs of everything; return the folder."""
    folder = FOLDER / test
    folder.mkdir(parents=True, exist_ok=True)
    label = next(f"{key}={value}" for key, value in NAMESPACE_LABELS.items())
    listed = cluster.try_kubectl("get", "namespaces", "-l", label, "-o", "name")[1].split()
    namespaces = [name.removeprefix("namespace/") for name in listed]
    tasks: list[tuple[str, tuple[str, ...]]] = [
        ("machines.txt", ("describe", "nodes")),
        ("pods.txt", ("get", "pods", "-A", "-o", "wide")),
        ("events.txt", ("get", "events", "-A", "--sort-by=.lastTimestamp")),
        ("networks.yaml", ("get", "pricenetworks", "-A", "-o", "yaml")),
    ]
    for namespace in (*namespaces, release_namespace, FEED_NAMESPACE):
        tasks.append((f"{namespace}/describe.txt", ("-n", namespace, "describe", _KINDS)))
        pods = cluster.try_kubectl("-n", namespace, "get", "pods", "-o", "name")[1].split()
        for pod in pods:
            logs = ("-n", namespace, "logs", pod, "--all-containers", f"--tail={_LOG_LINES}")
            name = f"{namespace}/{pod.removeprefix('pod/')}"
            tasks.append((f"{name}.log", (*logs, "--timestamps")))
            tasks.append((f"{name}.previous.log", (*logs, "--previous")))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda task: _write(cluster, folder / task[0], task[1]), tasks):
            pass
    return folder


def _write(cluster: Cluster, file: Path, arguments: tuple[str, ...]) -> None:
    code, said = cluster.try_kubectl(*arguments, deadline_s=60)
    if code != 0 and "--previous" in arguments:
        return  # the usual case: it has not been restarted
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(said)
