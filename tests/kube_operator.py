"""The operator as a process of its own, as a Deployment would run it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx

from kube_api import eventually
from kube_cluster import Cluster
from kube_rights import grant, revoke


class Operator:
    """One process of `gossip-price-operator`, in one namespace, with short times."""

    def __init__(
        self, cluster: Cluster, namespace: str, *, user: str = "operator", url: str | None = None
    ) -> None:
        self.log = cluster.folder / f"{namespace}-{user}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.environ = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(cluster.write_kubeconfig(user, url)),
            "GPO_NODE_IMAGE": "gossip-price/node:1",
            "GPO_NAMESPACES": namespace,
            "GPO_NAMESPACE": namespace,
            "GPO_IDENTITY": user,
            "GPO_RESYNC": "2s",
            "GPO_RESYNC_MOVING": "1s",
            "GPO_EPOCH_LEAD": "2s",
            "GPO_LEASE_DURATION": "4s",
            "GPO_HTTPADDR": f"127.0.0.1:{self.port}",
        }
        self._cluster = cluster
        self._user = user
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, **environ: str) -> None:
        """Start it with exactly the rights that the chart gives an operator of this environment."""
        told = self.environ | environ
        async with self._cluster.make_client("admin") as client:
            await revoke(client, self._user)
            await grant(
                client,
                self._user,
                own=told["GPO_NAMESPACE"],
                watched=[name for name in told["GPO_NAMESPACES"].split(",") if name],
            )
        out = self.log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("gossip-price-operator")),
            env=self.environ | environ,
            stdout=out,
            stderr=out,
        )
        out.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError("the operator did not end within 20 s of SIGTERM") from None

    async def ask(self, path: str) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            with suppress(httpx.TransportError):
                return (await client.get(f"http://127.0.0.1:{self.port}{path}")).status_code
        return 0

    async def read_metrics(self) -> dict[str, float]:
        """Return the value of each series, by its name and labels as they are written."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def wait_alive(self) -> None:
        async def is_alive() -> bool:
            assert not self.has_ended, self.log.read_text()
            return await self.ask("/livez") == 200

        await eventually("the operator is alive", is_alive)
