"""One active operator: a Lease that is renewed by its holder and taken over when it is not.

The client library's own election waits for a hanging request longer than the lease lasts, and
so would leave two at work; here every attempt has a deadline, and a holder that could not renew
in time stops by its own clock. Times of others are never compared with ours: what counts is how
long we have seen a lease unchanged.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any, Final

from gossip_price_operator.inputs import Manifest
from gossip_price_operator.kube import LEASE, Kube, KubeError

log = logging.getLogger(__name__)

#: A holder gives up at this part of the duration, so that it has stopped before others begin.
_RENEW_DEADLINE: Final = 2 / 3
_RENEW_EVERY: Final = 1 / 5


class Leadership:
    """Whether this process is the active one. `identity` is its own among all, e.g. the pod's."""

    def __init__(
        self, kube: Kube, *, namespace: str, name: str, identity: str, duration_s: float
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration_s = duration_s
        self._seen: tuple[str, float] | None = None
        self._renewed_s: float | None = None
        self._held = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """The lease is ours by our own clock, and others still think so."""
        if self._renewed_s is None:
            return False
        return self._get_time() - self._renewed_s < self._duration_s * _RENEW_DEADLINE

    async def wait_held(self) -> None:
        """Return once the lease is ours."""
        while not self.is_held:
            self._held.clear()
            await self._held.wait()

    async def wait_lost(self) -> None:
        """Return once the lease is not ours any more, by our own clock at the latest."""
        while self._renewed_s is not None and self.is_held:
            ends_s = self._renewed_s + self._duration_s * _RENEW_DEADLINE
            await asyncio.sleep(max(0.05, min(0.5, ends_s - self._get_time())))

    async def run(self) -> None:
        """Acquire and renew for ever."""
        while True:
            await self._attempt()
            if self.is_held:
                self._held.set()
            else:
                self._held.clear()
            await asyncio.sleep(self._duration_s * _RENEW_EVERY)

    async def release(self) -> None:
        """Give the lease back at a clean end, so that the next one need not wait."""
        if not self.is_held:
            return
        self._renewed_s = None
        try:
            async with asyncio.timeout(2):
                lease = await self._kube.get(LEASE, self._namespace, self._name)
                if lease is not None and self._read_holder(lease) == self._identity:
                    lease["spec"] = {**lease["spec"], "holderIdentity": ""}
                    await self._kube.replace(lease)
        except (KubeError, TimeoutError) as error:
            log.info("the lease was not given back: %s", error)

    async def _attempt(self) -> None:
        started_s = self._get_time()
        try:
            async with asyncio.timeout(self._duration_s / 3):
                lease = await self._kube.get(LEASE, self._namespace, self._name)
                if lease is None:
                    await self._kube.create(self._make({}, 0))
                elif self._may_take(lease):
                    await self._kube.replace(self._make(lease, self._count_transitions(lease)))
                else:
                    self._renewed_s = None
                    return
        except (KubeError, TimeoutError) as error:
            log.info("the lease was not renewed: %s", error or "too slow")
            return
        # From before the request: others count from when they saw it, which is later.
        self._renewed_s = started_s

    def _may_take(self, lease: Manifest) -> bool:
        holder = self._read_holder(lease)
        version = str(lease["metadata"]["resourceVersion"])
        now_s = self._get_time()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now_s)
        duration_s = float(lease.get("spec", {}).get("leaseDurationSeconds") or self._duration_s)
        return holder in ("", self._identity) or now_s - self._seen[1] > duration_s

    def _count_transitions(self, lease: Manifest) -> int:
        count = int(lease.get("spec", {}).get("leaseTransitions") or 0)
        return count + (self._read_holder(lease) != self._identity)

    def _make(self, lease: Manifest, transitions: int) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        held = lease.get("spec", {}) if self._read_holder(lease) == self._identity else {}
        spec: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration_s)),
            "acquireTime": held.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        metadata = lease.get("metadata") or {"name": self._name, "namespace": self._namespace}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": spec,
        }

    @staticmethod
    def _read_holder(lease: Manifest) -> str:
        return str(lease.get("spec", {}).get("holderIdentity") or "")

    @staticmethod
    def _get_time() -> float:
        return asyncio.get_running_loop().time()
