"""What many PriceNetworks lack on a bare API server: pods. Plays them all, cheaply.

Every Deployment of a node gets one pod object and is ready at once, every StatefulSet too, every
Job is complete. A node answers at its own address on loopback what the node's real code says of
it; what it would have agreed on is made up, and the server in front of it is a few lines.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import httpx

from gossip_price.adapters.status import Self, StatusBoard
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.document import DocumentError, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price_operator.inputs import HTTP_PORT
from gossip_price_operator.names import FIELD_MANAGER, INSTANCE, MANAGED_BY, NODE_LABEL
from gossip_price_operator.resources.keys import read_identity
from kube_api import Api, Object

_WORKERS: Final = 8
_NUMBERS = itertools.count()

Network = tuple[str, str]
"""Namespace and name."""


async def watch(client: httpx.AsyncClient, path: str, selector: str = "") -> AsyncIterator[Object]:
    """Yield every object there is and then every change, for ever; deletions are left out."""
    params = {"watch": "true", "labelSelector": selector}
    while True:
        with suppress(httpx.TransportError):
            async with client.stream("GET", path, params=params, timeout=None) as answer:
                assert answer.status_code == 200, await answer.aread()
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        yield event["object"]


def get_owner(found: Object) -> Network:
    """Return whose object this is."""
    metadata = found["metadata"]
    return metadata["namespace"], metadata["labels"][INSTANCE]


class PlayedNode:
    """A node: its own word of itself, behind an address of its own."""

    def __init__(self, fleet: Fleet, network: Network, secret: Object) -> None:
        number = next(_NUMBERS)
        self.address = f"127.{64 + os.getpid() % 190}.{number // 250}.{1 + number % 250}"
        identity = read_identity(secret)
        self.peer_id = identity.peer_id
        self.is_running = False
        self._server: asyncio.Server | None = None
        self.board = StatusBoard(
            Self(False, identity.peer_id, identity.address, "bench"),
            get_chain=lambda: fleet.chains[network],
            get_peers=lambda: fleet.list_peers(network, self),
            find_problems=dict,
            wall_s=lambda: int(time.time()),
        )
        self.board.observe(Note(NoteKind.STORE_UP, id=bytes(32)))

    async def start(self) -> None:
        """Answer at the address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Answer(self.board.tell), self.address, HTTP_PORT
        )
        self.is_running = True

    async def stop(self) -> None:
        """Answer no more: a connection is refused."""
        self.is_running = False
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def settle(self, pair: str, round_: int, signers: int) -> None:
        """Let a price be agreed on."""
        told: dict[str, Any] = {"pair": pair, "round": round_, "price": 200_000_000_000}
        for kind in (NoteKind.PROVEN, NoteKind.SETTLED):
            self.board.observe(Note(kind, decimals=8, count=signers, id=bytes(32), **told))


class _Answer(asyncio.Protocol):
    """Answers whatever is asked with the status, and closes."""

    def __init__(self, tell: Callable[[], Mapping[str, Any]]) -> None:
        self._tell = tell

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        body = json.dumps(self._tell()).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode() + body)
        self._transport.close()


class Fleet:
    """Plays the cluster's controllers, kubelets and nodes, in all namespaces."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._apis: dict[str, Api] = {}
        self._work: asyncio.Queue[tuple[str, Object]] = asyncio.Queue()
        #: Deployments whose pod was taken down by the bench.
        self._down: set[Network] = set()
        self._nodes: dict[Network, PlayedNode] = {}
        self._settled: dict[Network, int] = {}
        self.chains: dict[Network, EpochChain] = {}
        self.nodes: dict[Network, list[PlayedNode]] = {}

    async def run(self) -> None:
        """Play until cancelled; raises what goes wrong."""
        async with asyncio.TaskGroup() as tasks:
            for plural in ("deployments", "statefulsets", "jobs"):
                tasks.create_task(self._watch_workloads(plural))
            tasks.create_task(self._watch_files())
            tasks.create_task(self._agree())
            for _ in range(_WORKERS):
                tasks.create_task(self._do_work())

    async def aclose(self) -> None:
        """Close every node's server."""
        for node in self._nodes.values():
            await node.stop()

    def list_peers(self, network: Network, node: PlayedNode) -> set[str]:
        """Return the running nodes of a network without this one."""
        peers = self.nodes[network]
        return {peer.peer_id for peer in peers if peer.is_running and peer is not node}

    async def take_down(self, namespace: str, deployment: str) -> None:
        """Let a node's only pod be gone: it answers no more, and its Deployment says so."""
        self._down.add((namespace, deployment))
        await self._nodes[namespace, deployment].stop()
        await self._count_ready(namespace, deployment, 0)

    async def bring_up(self, namespace: str, deployment: str) -> None:
        """Let a node that was taken down be ready again."""
        await self._nodes[namespace, deployment].start()
        self._down.discard((namespace, deployment))
        await self._count_ready(namespace, deployment, 1)

    async def _count_ready(self, namespace: str, deployment: str, count: int) -> None:
        status = {"readyReplicas": count, "availableReplicas": count}
        api = self._get_api(namespace)
        await api.change("deployments", deployment, {"status": status}, "status")

    def _get_api(self, namespace: str) -> Api:
        return self._apis.setdefault(namespace, Api(self._client, namespace))

    async def _watch_workloads(self, plural: str) -> None:
        group = "batch" if plural == "jobs" else "apps"
        ours = f"{MANAGED_BY}={FIELD_MANAGER}"
        async for found in watch(self._client, f"/apis/{group}/v1/{plural}", ours):
            await self._work.put((plural, found))

    async def _watch_files(self) -> None:
        ours = f"{MANAGED_BY}={FIELD_MANAGER}"
        async for found in watch(self._client, "/api/v1/configmaps", ours):
            text = (found.get("data") or {}).get("network.json")
            if text and found["metadata"]["name"].endswith("-network"):
                with suppress(DocumentError):
                    self.chains[get_owner(found)] = EpochChain(NetworkFile.parse(text).epochs)

    async def _do_work(self) -> None:
        while True:
            plural, found = await self._work.get()
            if plural == "deployments":
                await self._run_node(found)
            elif plural == "statefulsets":
                await self._say_ready(plural, found)
            else:
                await self._complete(found)

    async def _run_node(self, deployment: Object) -> None:
        metadata = deployment["metadata"]
        key = metadata["namespace"], metadata["name"]
        if NODE_LABEL not in metadata["labels"] or key in self._down:
            return
        if key not in self._nodes:
            await self._start(key, deployment)
        await self._say_ready("deployments", deployment)

    async def _start(self, key: Network, deployment: Object) -> None:
        api, network = self._get_api(key[0]), get_owner(deployment)
        template = deployment["spec"]["template"]
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        secret = await api.get("secrets", volumes["keys"]["secret"]["secretName"])
        if key in self._nodes:
            return  # another worker was faster
        node = self._nodes[key] = PlayedNode(self, network, secret)
        self.nodes.setdefault(network, []).append(node)
        await node.start()
        containers = [{"name": "node", "image": template["spec"]["containers"][0]["image"]}]
        metadata = {"name": f"{key[1]}-pod", "labels": template["metadata"]["labels"]}
        await api.create("pods", {"metadata": metadata, "spec": {"containers": containers}})
        status = {
            "phase": "Running",
            "podIP": node.address,
            "podIPs": [{"ip": node.address}],
        }
        await api.change("pods", metadata["name"], {"status": status}, "status")

    async def _say_ready(self, plural: str, workload: Object) -> None:
        replicas = workload["spec"]["replicas"]
        status = {
            "observedGeneration": workload["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
        }
        held = workload.get("status") or {}
        if any(held.get(name, 0) != value for name, value in status.items()):
            metadata = workload["metadata"]
            api = self._get_api(metadata["namespace"])
            await api.change(plural, metadata["name"], {"status": status}, "status")

    async def _complete(self, job: Object) -> None:
        if (job.get("status") or {}).get("conditions"):
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        common = {"status": "True", "lastProbeTime": now, "lastTransitionTime": now}
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
        metadata = job["metadata"]
        api = self._get_api(metadata["namespace"])
        await api.change("jobs", metadata["name"], {"status": status}, "status")

    async def _agree(self) -> None:
        """Let the nodes of each network settle each round, once they are enough."""
        while True:
            now = int(time.time())
            for network, chain in list(self.chains.items()):
                document = chain.get_in_force(now)
                running = [node for node in self.nodes.get(network, ()) if node.is_running]
                if document is None or len(running) < document.minimum_signers:
                    continue
                round_ = max(document.get_round(now) - document.interval, document.start)
                # The first price comes when all are there, so that all tell the same.
                is_first = network not in self._settled
                if self._settled.get(network) == round_ or (
                    is_first and len(running) < len(document.members)
                ):
                    continue
                self._settled[network] = round_
                for node in self.nodes[network]:
                    for terms in document.pairs:
                        node.settle(terms.pair, round_, len(running))
            await asyncio.sleep(0.5)
