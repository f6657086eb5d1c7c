"""How the operator bears many PriceNetworks: latency, writes, memory and CPU, by their number.

    make bench-operator                                  50 networks, and then 200
    make bench-operator ARGS='--sizes 1000 --seconds 180'

Needs KUBEBUILDER_ASSETS, as tests/kube do, and Linux. The API server, etcd, the garbage collector
and the operator are real processes with the operator's own default times; pods are played (see
fleet.py). What is written is counted in the API server's audit log. Counts and ratios are
comparable between runs; times and CPU are noisy, for all of it shares one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from fleet import Fleet, Network, watch
from gossip_price_operator.kube import NETWORK
from kube_api import Api, Object, get_condition
from kube_cluster import WRITES, Cluster, find_assets, run_cluster
from kube_networks import make_network
from kube_operator import Operator

NETWORKS_IN_A_NAMESPACE: Final = 10
#: Made at once: what `kubectl apply -f folder/` does, and a little faster.
CREATES_AT_ONCE: Final = 4
#: Without a write for so long, it has come to rest: two looks at what is on its way, and more.
QUIET_S: Final = 12.0
#: A change that takes longer is lost.
CHANGE_DEADLINE_S: Final = 60.0
_MEMORY_SETTING: Final = re.compile(r"\b(MALLOC_\w+)=(\S+)")
_HIGH_WATER: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

Figures = dict[str, str]


class Audit:
    """Reads the audit log as it grows, once; counts what the operator asked and wrote."""

    def __init__(self, cluster: Cluster) -> None:
        self._path = cluster.folder / "audit.log"
        self._offset = 0
        self._rest = b""

    def read(self) -> Counter[tuple[str, str, str, str]]:
        """Return the operator's requests since the last call, by verb and object.

        (verb, resource, subresource, "namespace/name"); reads but for the networks' own count
        under the name "".
        """
        counts: Counter[tuple[str, str, str, str]] = Counter()
        with self._path.open("rb") as log:
            log.seek(self._offset)
            while chunk := log.read(2**22):
                self._offset += len(chunk)
                lines = (self._rest + chunk).split(b"\n")
                self._rest = lines.pop()
                for line in lines:
                    if b'"username":"operator"' in line:
                        counts[_read_entry(json.loads(line))] += 1
        return counts


def _read_entry(entry: Object) -> tuple[str, str, str, str]:
    told = entry.get("objectRef") or {}
    resource, verb = str(told.get("resource")), str(entry["verb"])
    is_told = verb in WRITES or (verb == "get" and resource == "pricenetworks")
    name = f"{told.get('namespace')}/{told.get('name')}" if is_told else ""
    return verb, resource, str(told.get("subresource") or ""), name


def read_memory_settings() -> dict[str, str]:
    """Return what the operator's image tells the C library about memory."""
    found = dict(_MEMORY_SETTING.findall((ROOT / "Dockerfile.operator").read_text()))
    assert found, "Dockerfile.operator sets nothing of the kind any more"
    return found


def count_writes(asked: Counter[tuple[str, str, str, str]]) -> Counter[str]:
    """Return how often was written what: status, events, objects, the Lease."""
    counts: Counter[str] = Counter()
    for (verb, resource, _, _), count in asked.items():
        if verb in WRITES:
            kind = {"pricenetworks": "status", "events": "events", "leases": "lease"}
            counts[kind.get(resource, "objects")] += count
    return counts


def count_looks(asked: Counter[tuple[str, str, str, str]]) -> int:
    """Return how often a network was looked at."""
    return sum(n for (verb, of, _, _), n in asked.items() if (verb, of) == ("get", "pricenetworks"))


class Seen:
    """The newest state of every PriceNetwork, as a watch tells of it."""

    def __init__(self) -> None:
        self.networks: dict[Network, Object] = {}
        self._waiting: dict[Network, tuple[Callable[[Object], bool], asyncio.Future[float]]] = {}

    async def follow(self, cluster: Cluster) -> None:
        """Watch until cancelled."""
        path = f"/apis/{NETWORK.api_version}/{NETWORK.plural}"
        async with cluster.make_client() as client:
            async for found in watch(client, path):
                metadata = found["metadata"]
                key = metadata["namespace"], metadata["name"]
                self.networks[key] = found
                is_met, met = self._waiting.get(key, (None, None))
                if is_met is not None and met is not None and not met.done() and is_met(found):
                    met.set_result(time.monotonic())

    async def wait(self, network: Network, is_met: Callable[[Object], bool]) -> float:
        """Return when it was told (monotonic); raises TimeoutError."""
        met: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[network] = is_met, met
        try:
            async with asyncio.timeout(CHANGE_DEADLINE_S):
                return await met
        finally:
            del self._waiting[network]

    def count(self, is_met: Callable[[Object], bool]) -> int:
        """Return how many networks are so."""
        return sum(map(is_met, self.networks.values()))


def is_at_rest(network: Object) -> bool:
    """Ready as its newest generation wants it, and nothing on its way."""
    conditions = [get_condition(network, name) for name in ("Ready", "Reconciling")]
    generation = network["metadata"]["generation"]
    is_new = all(found.get("observedGeneration") == generation for found in conditions)
    return is_new and [found["status"] for found in conditions] == ["True", "False"]


@dataclass
class Process:
    """What the operator's process takes."""

    operator: Operator
    _at: tuple[float, float] = field(default=(0.0, 0.0), init=False)

    def begin(self) -> None:
        """Measure CPU from now on."""
        self._at = time.monotonic(), self._count_cpu_s()

    def get_cpu_percent(self) -> float:
        """Return the part of one core since `begin`."""
        began_s, cpu_s = self._at
        return 100 * (self._count_cpu_s() - cpu_s) / (time.monotonic() - began_s)

    def get_rss_mib(self) -> float:
        """Return what is resident now."""
        return psutil.Process(self.operator.pid).memory_info().rss / 2**20

    def get_peak_mib(self) -> float:
        """Return the most that ever was resident."""
        status = Path(f"/proc/{self.operator.pid}/status").read_text()
        match = _HIGH_WATER.search(status)
        assert match is not None, "this kernel does not tell a process's high-water mark"
        return int(match[1]) / 2**10

    def _count_cpu_s(self) -> float:
        spent = psutil.Process(self.operator.pid).cpu_times()
        return spent.user + spent.system


class Bench:
    """One size on one cluster: the phases, in their order, and what came of each."""

    def __init__(self, cluster: Cluster, size: int, options: argparse.Namespace) -> None:
        self.cluster = cluster
        self.size = size
        self.options = options
        self.audit = Audit(cluster)
        self.seen = Seen()
        self.operator = Operator(cluster, "default")
        self.process = Process(self.operator)
        self.figures: Figures = {}

    async def run(self) -> Figures:
        """Return the figures by name."""
        async with self.cluster.make_client("kubelet") as client:
            fleet = Fleet(client)
            playing = asyncio.create_task(fleet.run())
            following = asyncio.create_task(self.seen.follow(self.cluster))
            measuring = asyncio.create_task(self._measure(fleet))
            try:
                await asyncio.wait(
                    (playing, following, measuring), return_when=asyncio.FIRST_COMPLETED
                )
                for part in (playing, following):
                    if part.done():
                        part.result()
                await measuring
            finally:
                for task in (measuring, playing, following):
                    task.cancel()
                await asyncio.gather(measuring, playing, following, return_exceptions=True)
                await self.operator.stop()
                await fleet.aclose()
        return self.figures

    async def _measure(self, fleet: Fleet) -> None:
        await self._start()
        self._tell(await self._make_all())
        self._tell(await self._rest())
        for name, change in (
            ("node down", self._take_down),
            ("node up", self._bring_up),
            ("spec change", self._change_spec),
        ):
            self._tell(await self._change(name, fleet, change))
        self._tell(await self._restart())

    def _tell(self, figures: Figures) -> None:
        """Keep what a phase found, and say it at once: a large size takes its time."""
        self.figures |= figures
        for name, value in figures.items():
            print(f"\r{name}: {value}", file=sys.stderr, flush=True)

    async def _start(self) -> None:
        # As it is deployed: the operator's own defaults, and all namespaces.
        own = ("GPO_RESYNC", "GPO_RESYNC_MOVING", "GPO_EPOCH_LEAD", "GPO_LEASE_DURATION")
        for name in own:
            self.operator.environ.pop(name, None)
        given = read_memory_settings()
        given |= dict(item.split("=", 1) for item in self.options.environ)
        await self.operator.start(GPO_NAMESPACES="", **given)
        await self.operator.wait_alive()

    async def _make_all(self) -> Figures:
        """Make all networks at once, and wait until each is at rest."""
        self.audit.read()
        self.process.begin()
        began_s = time.monotonic()
        turns = asyncio.Semaphore(CREATES_AT_ONCE)

        async def make(api: Api, number: int) -> None:
            async with turns:
                body = make_network(f"net-{number}", interval=self.options.interval)
                await api.create("pricenetworks", body)

        async with self.cluster.make_client() as client, asyncio.TaskGroup() as tasks:
            for first in range(0, self.size, NETWORKS_IN_A_NAMESPACE):
                namespace = f"bench-{first // NETWORKS_IN_A_NAMESPACE}"
                body = {"metadata": {"name": namespace}}
                answer = await client.post("/api/v1/namespaces", json=body)
                assert answer.status_code == 201, answer.text
                for number in range(first, min(self.size, first + NETWORKS_IN_A_NAMESPACE)):
                    tasks.create_task(make(Api(client, namespace), number))
        while (done := self.seen.count(is_at_rest)) < self.size:
            self._say(f"{done} of {self.size} networks are at rest")
            await asyncio.sleep(1)
        took_s, cpu = time.monotonic() - began_s, self.process.get_cpu_percent()
        asked = self.audit.read()
        await self._wait_quiet(asked)
        writes = count_writes(asked)
        made = {
            name
            for (verb, resource, _, name) in asked
            if verb in WRITES and resource not in ("events", "leases", "pricenetworks")
            for name in (f"{resource}/{name}",)
        }
        return {
            "made, all at once": f"{took_s:.0f} s, {self.size / took_s:.1f} networks a second",
            "objects of a network": f"{len(made) / self.size:.1f}",
            "writes for each object": f"{writes['objects'] / len(made):.2f}",
            "status writes, events of a new network": (
                f"{writes['status'] / self.size:.1f}, {writes['events'] / self.size:.1f}"
            ),
            "CPU while they are made": f"{cpu:.0f} % of a core",
            "RSS peak while they are made": f"{self.process.get_peak_mib():.0f} MiB",
        }

    async def _rest(self) -> Figures:
        """Nobody changes anything: what is written?"""
        self.audit.read()
        self.process.begin()
        await asyncio.sleep(self.options.seconds)
        asked = self.audit.read()
        writes = count_writes(asked)
        lease = writes.pop("lease", 0)
        looks = count_looks(asked)
        name = f"idle for {self.options.seconds:.0f} s: writes"
        return {
            name: f"{writes.total()} (and {lease} of the Lease)",
            "idle: looks, requests a look": (
                f"{looks}, {(asked.total() - lease * 2) / max(1, looks):.1f}"
            ),
            "idle: CPU": f"{self.process.get_cpu_percent():.1f} % of a core",
            "idle: RSS": f"{self.process.get_rss_mib():.0f} MiB",
        }

    async def _change(
        self, name: str, fleet: Fleet, change: Callable[[Fleet, Api, Network], Any]
    ) -> Figures:
        """Change one network after another, at a steady rate, and time each."""
        keys = sorted(self.seen.networks)
        step = max(1, len(keys) // self.options.changes)
        chosen = keys[::step][: self.options.changes]
        self.audit.read()
        async with self.cluster.make_client() as client:

            async def time_one(key: Network) -> float:
                began_s = time.monotonic()
                met = asyncio.create_task(change(fleet, Api(client, key[0]), key))
                return float(await met) - began_s

            running = []
            for key in chosen:
                running.append(asyncio.create_task(time_one(key)))
                await asyncio.sleep(1 / self.options.rate)
            waits_s = sorted(await asyncio.gather(*running))
        asked = self.audit.read()
        await self._wait_quiet(asked)
        writes = count_writes(asked)
        return {
            f"{name}: p50 / p99 / max": " / ".join(
                f"{1000 * get_quantile(waits_s, part):.0f}" for part in (0.5, 0.99, 1)
            )
            + " ms",
            f"{name}: status writes, others a change": (
                f"{writes['status'] / len(chosen):.2f},"
                f" {(writes['objects'] + writes['events']) / len(chosen):.2f}"
            ),
        }

    async def _take_down(self, fleet: Fleet, _api: Api, key: Network) -> float:
        told = asyncio.create_task(
            self.seen.wait(key, lambda found: found["status"]["readyNodes"] == 3)
        )
        await fleet.take_down(key[0], f"{key[1]}-node-1")
        return await told

    async def _bring_up(self, fleet: Fleet, _api: Api, key: Network) -> float:
        told = asyncio.create_task(
            self.seen.wait(key, lambda found: found["status"]["readyNodes"] == 4)
        )
        await fleet.bring_up(key[0], f"{key[1]}-node-1")
        return await told

    async def _change_spec(self, _fleet: Fleet, api: Api, key: Network) -> float:
        told = asyncio.create_task(
            self.seen.wait(
                key,
                lambda found: (
                    found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2
                ),
            )
        )
        rule = {"ports": [{"port": 8443, "protocol": "TCP"}]}
        await api.change("pricenetworks", key[1], {"spec": {"access": {"extraEgress": [rule]}}})
        return await told

    async def _restart(self) -> Figures:
        """Another operator begins where this one ended: it reads everything."""
        await self.operator.stop()
        self.audit.read()
        began_s = time.monotonic()
        await self._start()
        self.process.begin()
        looked: set[str] = set()
        writes: Counter[str] = Counter()
        while len(looked) < self.size:
            await asyncio.sleep(0.5)
            asked = self.audit.read()
            writes += count_writes(asked)
            looked |= {name for (verb, of, _, name) in asked if (verb, of) == _LOOK}
            self._say(f"{len(looked)} of {self.size} networks looked at by the next operator")
        took_s = time.monotonic() - began_s
        writes.pop("lease", None)
        return {
            "restart: until each was looked at": f"{took_s:.0f} s",
            "restart: writes": f"{writes.total()}",
            "restart: RSS peak": f"{self.process.get_peak_mib():.0f} MiB",
        }

    async def _wait_quiet(self, asked: Counter[tuple[str, str, str, str]]) -> None:
        """Wait until nothing was written for a while; add what was asked meanwhile."""
        quiet_since_s = time.monotonic()
        while time.monotonic() - quiet_since_s < QUIET_S:
            await asyncio.sleep(0.5)
            fresh = self.audit.read()
            asked += fresh
            writes = count_writes(fresh)
            if writes.total() > writes["lease"]:
                quiet_since_s = time.monotonic()

    def _say(self, text: str) -> None:
        print(f"\r{text}  ", end="", file=sys.stderr, flush=True)


_LOOK: Final = ("get", "pricenetworks")


def get_quantile(ordered: list[float], part: float) -> float:
    """Return the smallest value that at least this part of all does not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def format_table(columns: Iterable[tuple[int, Figures]]) -> str:
    """Return a table in Markdown: a column a size."""
    listed = list(columns)
    names = dict.fromkeys(name for _, figures in listed for name in figures)
    lines = [
        "| " + " | ".join(["networks", *(str(size) for size, _ in listed)]) + " |",
        "|---" * (len(listed) + 1) + "|",
    ]
    lines += [
        "| " + " | ".join([name, *(figures.get(name, "") for _, figures in listed)]) + " |"
        for name in names
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the options, run each size on a cluster of its own, print the table."""
    parser = argparse.ArgumentParser(description="Measure the operator with many networks.")
    parser.add_argument("--sizes", default="50,200", help="numbers of networks, commas between")
    parser.add_argument("--changes", type=int, default=100, help="of each kind")
    parser.add_argument("--rate", type=float, default=2.0, help="changes a second")
    parser.add_argument("--seconds", type=float, default=75.0, help="how long to be idle")
    parser.add_argument("--interval", default="24h", help="of the networks' prices")
    parser.add_argument(
        "--environ", action="append", default=[], help="NAME=VALUE for the operator"
    )
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # what runs is ended, however this one ends
        signal.signal(number, signal.default_int_handler)
    try:
        find_assets()
    except AssertionError as error:
        sys.exit(f"bench-operator: {error}")
    columns = []
    for size in map(int, options.sizes.split(",")):
        with (
            tempfile.TemporaryDirectory(prefix="gp-bench-") as folder,
            run_cluster(Path(folder)) as cluster,
        ):
            columns.append((size, asyncio.run(Bench(cluster, size, options).run())))
        print(f"\n{format_table(columns)}\n", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
