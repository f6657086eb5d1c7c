"""What a test's API server lacks: pods. A small task that plays kubelet, scheduler and nodes.

Each Deployment, StatefulSet and Job of a namespace gets pod objects of its newest template, with
addresses on loopback, and a status as the cluster's controllers would write it. What a node says
at its HTTP endpoint is said by the node's real code; what it would have agreed on is made up.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import time
from contextlib import suppress
from typing import Any, Final

import msgspec

from gossip_price.adapters.http import make_app, make_status_routes
from gossip_price.adapters.http.server import AppServer
from gossip_price.adapters.status import Self, StatusBoard
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.document import DocumentError, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import parse_secret
from gossip_price_operator.resources.keys import read_identity
from kube_api import Api, Object

_STEP_S: Final = 0.15
_ADDRESSES = itertools.count()
_INSTANCE: Final = "app.kubernetes.io/instance"


def _take_address() -> str:
    number = next(_ADDRESSES)
    return f"127.{1 + os.getpid() % 250}.{1 + number // 250}.{1 + number % 250}"


class FakeNode:
    """A node behind an address: real routes, invented prices."""

    def __init__(self, kubelet: Kubelet, name: str, network: str, secret: Object) -> None:
        self.identity = read_identity(secret)
        self.network = network
        self.address = _take_address()
        self.kubelet = kubelet
        self.name = name
        self.problems: dict[str, str] = {}
        self.board = StatusBoard(
            Self(False, self.identity.peer_id, self.identity.address, "test"),
            get_chain=lambda: kubelet.chains[network],
            get_peers=lambda: kubelet.list_peers(self),
            find_problems=lambda: self.problems,
            wall_s=lambda: int(time.time()),
        )
        self.board.observe(Note(NoteKind.STORE_UP, id=bytes(32)))
        self.server = AppServer(
            f"{self.address}:8080", make_app(make_status_routes(self.board.tell))
        )

    def settle(self, pair: str, round_: int, signers: int) -> None:
        told: dict[str, Any] = {"pair": pair, "round": round_, "price": 200_000_000_000}
        for kind in (NoteKind.PROVEN, NoteKind.SETTLED):
            self.board.observe(Note(kind, decimals=8, count=signers, id=bytes(32), **told))


class Kubelet:
    """Plays the cluster in one namespace; what goes wrong is for the test to say.

    `broken_images`: pods with such an image never start. `broken_jobs`:
    Jobs with one do not end either. `silent`: nodes (by Deployment) whose
    HTTP nobody answers. `is_market_open`: whether rounds are agreed on. `parted`: nodes that no
    other node is connected to.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.broken_images: set[str] = set()
        self.broken_jobs = True
        self.silent: set[str] = set()
        self.is_market_open = True
        self.parted: set[str] = set()
        self.is_paused = False
        self.chains: dict[str, EpochChain] = {}
        self.nodes: dict[str, FakeNode] = {}
        #: Every (workload, template) that was started, in order: what a rollout did.
        self.started: list[str] = []
        self.stopped: list[str] = []
        #: How many nodes of the newest epoch's members ran, at each step.
        self.active_history: list[tuple[int, int, int]] = []
        self._templates: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            if not self.is_paused:
                await self.step()
            await asyncio.sleep(_STEP_S)

    async def aclose(self) -> None:
        await asyncio.gather(*(node.server.aclose() for node in self.nodes.values()))
        self.nodes.clear()

    async def step(self) -> None:
        deployments = await self.api.list("deployments")
        await self._read_networks()
        present = {found["metadata"]["name"] for found in deployments}
        for name in set(self.nodes) - present:
            await self._stop(name)
        for name in [name for name in self._templates if name not in present]:
            del self._templates[name]
            await self._delete_pods(name)
        for deployment in deployments:
            await self._run_deployment(deployment)
        for workload in await self.api.list("statefulsets"):
            await self._run_stateful_set(workload)
        for job in await self.api.list("jobs"):
            await self._run_job(job)
        self._agree()

    def list_peers(self, node: FakeNode) -> set[str]:
        return {
            other.identity.peer_id
            for other in self.nodes.values()
            if other is not node
            and other.network == node.network
            and not {node.name, other.name} & self.parted
        }

    async def _read_networks(self) -> None:
        for found in await self.api.list("configmaps"):
            text = (found.get("data") or {}).get("network.json")
            network = (found["metadata"].get("labels") or {}).get(_INSTANCE)
            if text and network and found["metadata"]["name"].endswith("-network"):
                # A node goes on with what it has where a file cannot be read.
                with suppress(DocumentError):
                    self.chains[network] = EpochChain(NetworkFile.parse(text).epochs)

    async def _run_deployment(self, deployment: Object) -> None:
        name = deployment["metadata"]["name"]
        template = deployment["spec"]["template"]
        image = template["spec"]["containers"][0]["image"]
        digest = base64.b16encode(msgspec.json.encode(template)).decode()
        network = deployment["metadata"]["labels"][_INSTANCE]
        is_broken = image in self.broken_images
        if self._templates.get(name) != digest:
            await self._stop(name)
            await self._delete_pods(name)
            self._templates[name] = digest
            self.started.append(name)
            node = None if is_broken else await self._start(name, network, template)
            await self._make_pod(name, template, node)
        elif is_broken is (name in self.nodes):
            self._templates.pop(name)
            return
        ready = 0 if is_broken else int(not self.nodes[name].problems)
        await self._write(
            "deployments",
            deployment,
            {
                "replicas": 1,
                "updatedReplicas": 1,
                "readyReplicas": ready,
                "availableReplicas": ready,
            },
        )

    async def _start(self, name: str, network: str, template: Object) -> FakeNode:
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        secret = await self.api.get("secrets", volumes["keys"]["secret"]["secretName"])
        node = FakeNode(self, name, network, secret)
        if name not in self.silent:
            await node.server.start()
        self.nodes[name] = node
        return node

    async def _stop(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        if node is not None:
            self.stopped.append(name)
            await node.server.aclose()

    async def _make_pod(self, owner: str, template: Object, node: FakeNode | None) -> None:
        labels = {**template["metadata"]["labels"], "tests/owner": owner}
        spec = {
            "containers": [
                {key: val for key, val in container.items() if key in ("name", "image")}
                for container in template["spec"]["containers"]
            ]
        }
        metadata = {"generateName": f"{owner[:50]}-", "labels": labels}
        pod = await self.api.create("pods", {"metadata": metadata, "spec": spec})
        if node is not None:
            status: Object = {
                "phase": "Running",
                "podIP": node.address,
                "podIPs": [{"ip": node.address}],
            }
        else:
            waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
            container = spec["containers"][0]
            told = {"ready": False, "restartCount": 0, "imageID": "", "state": {"waiting": waiting}}
            status = {"phase": "Pending", "containerStatuses": [{**container, **told}]}
        await self.api.change("pods", pod["metadata"]["name"], {"status": status}, "status")

    async def _delete_pods(self, owner: str) -> None:
        answer = await self.api.client.delete(
            self.api.path("pods"),
            params={"labelSelector": f"tests/owner={owner}", "gracePeriodSeconds": 0},
        )
        assert answer.status_code == 200, answer.text

    async def _run_stateful_set(self, workload: Object) -> None:
        replicas = workload["spec"]["replicas"]
        is_broken = workload["spec"]["template"]["spec"]["containers"][0]["image"] in (
            self.broken_images
        )
        ready = 0 if is_broken else replicas
        counts = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}
        await self._write("statefulsets", workload, counts)

    async def _run_job(self, job: Object) -> None:
        if (job.get("status") or {}).get("conditions"):
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        common = {"status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        image = job["spec"]["template"]["spec"]["containers"][0]["image"]
        if self.broken_jobs and image in self.broken_images:
            return
        status = {
            "startTime": now,
            "completionTime": now,
            "succeeded": 1,
            "uncountedTerminatedPods": {},
            "conditions": [
                {"type": "SuccessCriteriaMet", **common},
                {"type": "Complete", **common},
            ],
        }
        await self._patch_status("jobs", job, status)

    async def _write(self, plural: str, workload: Object, counts: Object) -> None:
        status = {**counts, "observedGeneration": workload["metadata"]["generation"]}
        held = workload.get("status") or {}
        if any(held.get(key, 0) != value for key, value in status.items()):
            await self._patch_status(plural, workload, status)

    async def _patch_status(self, plural: str, workload: Object, status: Object) -> None:
        answer = await self.api.patch(
            plural, workload["metadata"]["name"], {"status": status}, "status"
        )
        # It may have been deleted since it was listed.
        assert answer.status_code in (200, 404, 409), answer.text

    def _agree(self) -> None:
        """Let every running member settle the newest round, where they are enough."""
        now = int(time.time())
        for network, chain in self.chains.items():
            document = chain.get_in_force(now)
            if document is None:
                continue
            running = [node for node in self.nodes.values() if node.network == network]
            members = [
                node
                for node in running
                if any(node.identity.address == member.address for member in document.members)
                and not node.problems
            ]
            self.active_history.append(
                (len(members), document.minimum_signers, len(document.members))
            )
            if not self.is_market_open or len(members) < document.minimum_signers:
                continue
            # As if it had settled at once: what is open is no older than one round.
            round_ = max(document.get_round(now) - document.interval, document.start)
            for node in running:
                for terms in document.pairs:
                    node.settle(terms.pair, round_, len(members))


def find_most_down(kubelet: Kubelet) -> int:
    """The most members that were missing at once."""
    return max((total - active for active, _, total in kubelet.active_history), default=0)


def read_secret(secret: Object, key: str) -> bytes:
    return parse_secret(base64.b64decode(secret["data"][key]).decode())


async def stop_task(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
