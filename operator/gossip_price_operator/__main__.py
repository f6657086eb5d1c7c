"""The command `gossip-price-operator`: settings, the parts, and their end. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
import kopf
from aiohttp import web

from gossip_price_operator.handlers import Mark, NoMemories, configure, make_registry
from gossip_price_operator.health import HealthReader
from gossip_price_operator.kube import Kube, NoClusterError
from gossip_price_operator.lease import Leadership
from gossip_price_operator.logs import configure_logs
from gossip_price_operator.metrics import OperatorMetrics
from gossip_price_operator.metrics import make_registry as make_metrics_registry
from gossip_price_operator.probes import make_probes
from gossip_price_operator.reconcile import Reconciler
from gossip_price_operator.settings import Settings, SettingsError, load_settings
from gossip_price_operator.workers import Workers

log = logging.getLogger("gossip_price_operator")

_BAD_SETTINGS: Final = 2
#: Watches that break are begun anew, at first soon.
_PAUSE_FIRST_S: Final = 1.0
_PAUSE_MAX_S: Final = 10.0
#: It has nothing to finish.
_KOPF_END_S: Final = 3.0


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"gossip-price-operator: the environment cannot be used:\n{error}\n")
        return _BAD_SETTINGS
    configure_logs(settings.log_format, settings.log_level, sys.stderr)
    try:
        asyncio.run(run(settings))
    except NoClusterError as error:
        sys.stderr.write(
            f"gossip-price-operator: no cluster to speak to: {error}; remedy: run it in a pod that"
            " has its ServiceAccount's token, or name a kubeconfig with KUBECONFIG\n"
        )
        return _BAD_SETTINGS
    return 0


async def run(settings: Settings) -> None:
    """Run the operator's parts until a signal; raises what a part died of."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = make_metrics_registry()
    metrics = OperatorMetrics(registry)
    async with (
        Kube.connect(metrics.count_request) as kube,
        # Renewed over a connection of its own: it must not stand in line behind the looks.
        Kube.connect(metrics.count_request) as lease_kube,
        # Nodes are asked once a minute: a connection kept open in between is of no use.
        aiohttp.ClientSession(
            trust_env=False, connector=aiohttp.TCPConnector(force_close=True, limit=0)
        ) as session,
    ):
        reconciler = Reconciler(
            kube, HealthReader(session), settings.defaults, ip_family=settings.ip_family
        )
        workers = Workers(reconciler.reconcile, settings.pace, watcher=metrics)
        leadership = Leadership(
            lease_kube,
            namespace=settings.namespace,
            name=settings.lease,
            identity=settings.identity,
            duration_s=settings.lease_duration_s,
        )
        watches = _Watches()
        probes = web.AppRunner(
            make_probes(
                workers.find_stuck,
                lambda: max(kube.answered_s, lease_kube.answered_s),
                registry,
                lambda: watches.problem,
            ),
            access_log=None,
        )
        metrics.show_active(lambda: leadership.is_held)
        await probes.setup()
        await web.TCPSite(probes, settings.http_host, settings.http_port).start()
        watching = asyncio.create_task(_watch(settings, workers, watches))
        acting = [
            asyncio.create_task(leadership.run()),
            asyncio.create_task(_lead(leadership, workers, metrics)),
        ]
        try:
            await _wait_for_end(stop, watching, *acting)
        finally:
            await _cancel(*acting)
            await workers.stop()
            await leadership.release()
            await _cancel(watching)
            await probes.cleanup()


async def _lead(leadership: Leadership, workers: Workers, metrics: OperatorMetrics) -> None:
    """Let the workers work exactly while the lease is ours."""
    while True:
        await leadership.wait_held()
        log.info("this operator is the active one")
        workers.start()
        await leadership.wait_lost()
        log.warning("the lease is lost: this operator stops to act")
        await workers.stop()
        metrics.forget_all()


@dataclass
class _Watches:
    """Why the watches do not hear of networks; None while they do."""

    problem: str | None = None

    def mend(self) -> None:
        self.problem = None


async def _watch(settings: Settings, workers: Workers, watches: _Watches) -> None:
    """Watch the API with kopf; a passive operator watches too, so that it takes over at once.

    In a thread and a loop of its own: at its end kopf cancels every task that it finds beside its
    own ones, and an answer that it does not expect is its end. Then it is begun anew.
    """
    loop = asyncio.get_running_loop()

    def mark(namespace: str, name: str, is_news: bool) -> None:
        loop.call_soon_threadsafe(partial(workers.mark, namespace, name, is_news=is_news))

    pause_s = _PAUSE_FIRST_S
    while True:
        stop, started_s = threading.Event(), loop.time()
        watching = loop.run_in_executor(None, _run_kopf, settings, mark, stop)
        # What cannot be watched shows itself at once.
        mended = loop.call_later(_PAUSE_MAX_S, watches.mend)
        try:
            await asyncio.shield(watching)
            watches.problem = "the watches ended"
            log.warning("the watches ended and are begun anew in %.0f s", pause_s)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([watching], timeout=_KOPF_END_S)
            raise
        except Exception as error:
            watches.problem = f"the watches broke: {error or type(error).__name__}"
            log.warning("the watches broke, begun anew in %.0f s", pause_s, exc_info=True)
        finally:
            mended.cancel()
        is_young = loop.time() - started_s < _PAUSE_MAX_S
        await asyncio.sleep(pause_s * (1 + random.random()))  # noqa: S311 - no secret
        pause_s = min(_PAUSE_MAX_S, pause_s * 2) if is_young else _PAUSE_FIRST_S


def _run_kopf(settings: Settings, mark: Mark, stop: threading.Event) -> None:
    asyncio.run(_operate(settings, mark, stop))


async def _operate(settings: Settings, mark: Mark, stop: threading.Event) -> None:
    kopf_settings = kopf.OperatorSettings()
    configure(kopf_settings, all_namespaces=not settings.namespaces)
    try:
        await kopf.operator(
            registry=make_registry(mark),
            settings=kopf_settings,
            memories=NoMemories(),
            standalone=True,
            # Else kopf asks for the user's name, and a numeric user has none.
            identity=settings.identity,  # type: ignore[arg-type] # its type is not exported
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=stop,
        )
    finally:
        # kopf waits for the flag in a thread of its own, which the loop's end would wait for.
        stop.set()


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
