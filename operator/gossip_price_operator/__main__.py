"""The command `gossip-price-operator`: settings, the parts, and their end. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Final

import aiohttp
import kopf
from aiohttp import web

from gossip_price_operator.handlers import configure, make_registry
from gossip_price_operator.health import HealthReader
from gossip_price_operator.kube import Kube
from gossip_price_operator.lease import Leadership
from gossip_price_operator.probes import make_probes
from gossip_price_operator.reconcile import Reconciler
from gossip_price_operator.settings import Settings, SettingsError, load_settings
from gossip_price_operator.workers import Workers

log = logging.getLogger("gossip_price_operator")

_BAD_SETTINGS: Final = 2


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"gossip-price-operator: the environment cannot be used:\n{error}\n")
        return _BAD_SETTINGS
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # kopf tells of each event that it hands on; we tell of what comes of them.
    if settings.log_level != "debug":
        logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """Run the operator's parts until a signal; raises what a part died of."""
    stop = asyncio.Event()
    async with (
        Kube.connect() as kube,
        # Nodes are asked once a minute: a connection kept open in between is of no use.
        aiohttp.ClientSession(
            trust_env=False, connector=aiohttp.TCPConnector(force_close=True, limit=0)
        ) as session,
    ):
        reconciler = Reconciler(
            kube, HealthReader(session), settings.defaults, ip_family=settings.ip_family
        )
        workers = Workers(reconciler.reconcile, settings.pace)
        leadership = Leadership(
            kube,
            namespace=settings.namespace,
            name=settings.lease,
            identity=settings.identity,
            duration_s=settings.lease_duration_s,
        )
        probes = web.AppRunner(
            make_probes(workers.find_stuck, lambda: kube.answered_s), access_log=None
        )
        await probes.setup()
        await web.TCPSite(probes, settings.http_host, settings.http_port).start()
        watching = asyncio.create_task(_watch(settings, workers, stop))
        acting = [
            asyncio.create_task(leadership.run()),
            asyncio.create_task(_lead(leadership, workers)),
        ]
        try:
            await _wait_for_end(stop, watching, *acting)
        finally:
            await _cancel(*acting)
            await workers.stop()
            await leadership.release()
            await probes.cleanup()
            # Last: kopf takes every task that it finds at its end for a hung one of its own.
            await _cancel(watching)


async def _lead(leadership: Leadership, workers: Workers) -> None:
    """Let the workers work exactly while the lease is ours."""
    while True:
        await leadership.wait_held()
        log.info("this operator is the active one")
        workers.start()
        await leadership.wait_lost()
        log.warning("the lease is lost: this operator stops to act")
        await workers.stop()


async def _watch(settings: Settings, workers: Workers, stop: asyncio.Event) -> None:
    """Watch the API with kopf; a passive operator watches too, so that it takes over at once."""
    kopf_settings = kopf.OperatorSettings()
    configure(kopf_settings, all_namespaces=not settings.namespaces)

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def note_start() -> None:
        # kopf takes the signals for itself in the moment after this; but ours is the end, in
        # which the lease is given back first.
        asyncio.get_running_loop().call_later(0.1, take_signals)

    await kopf.operator(
        registry=make_registry(workers.mark, note_start),
        settings=kopf_settings,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


async def _wait_for_end(stop: asyncio.Event, *parts: asyncio.Task[None]) -> None:
    """Return at a signal; raise what a part died of, because no part may end silently."""
    stopped = asyncio.create_task(_wait(stop))
    try:
        await asyncio.wait((stopped, *parts), return_when=asyncio.FIRST_COMPLETED)
        for part in parts:
            if part.done():
                part.result()
                raise RuntimeError("a part of the operator ended by itself")
    finally:
        await _cancel(stopped)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
