"""Bring a local network up in order, watch it, and take it down in the opposite order.

The order: folder, network, free ports, prices, database, schema, feed, nodes. Each step that
fails is one LaunchError that says what helps, and what was started before it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from gossip_price.adapters import last_will
from gossip_price.adapters.datafolder import DataFolder, DataFolderError, LocalNetwork
from gossip_price.adapters.postgres.connection import DatabaseUrlError
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from gossip_price.adapters.postgres.errors import TROUBLE, describe_unusable
from gossip_price.adapters.postgres.migrate import migrate
from gossip_price.adapters.supervisor import (
    ChildRefusedError,
    Happening,
    Line,
    Supervisor,
)
from gossip_price.adapters.tcp_ports import choose_ports, is_free
from gossip_price.cli import localnet
from gossip_price.cli.banner import Start
from gossip_price.cli.display import Display
from gossip_price.cli.localnet import Layout
from gossip_price.cli.prices import NoLivePricesError, Prices, choose_prices
from gossip_price.cli.wishes import Wishes, explain_differences, find_differences
from gossip_price.network.sources import make_coinbase_like
from gossip_price.network.spec import make_resource
from gossip_price.network.spec_parts import PriceNetwork

#: A round on a laptop; a deployed network's default is 10 minutes.
INTERVAL_S: Final = 15
#: How our own command line is started, before its arguments.
COMMAND: Final = (sys.executable, "-m", "gossip_price")
#: The simulated feed is a small program, but the machine may be busy with five others.
FEED_START_S: Final = 20.0
#: What is left of 5 s after nodes and helpers had theirs; then the server is killed, which loses
#: nothing: its write-ahead log is replayed at the next start.
POSTGRES_STOP_S: Final = 1.0
_EXIT_TROUBLE: Final = 1
_EXIT_CONFIGURATION: Final = 2


class LaunchError(Exception):
    """The network cannot run; `code` is the command's exit code."""

    def __init__(self, message: str, code: int = _EXIT_TROUBLE) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Order:
    """What is asked for. `resource` is a decoded PriceNetwork file; `duration_s` None: no end."""

    resource: dict[str, Any] | None
    wishes: Wishes
    feed: str
    data: Path
    database: str | None
    port: int
    duration_s: int | None
    json: bool


class Launch:
    """One run of a local network; `command` starts the processes of feed and nodes."""

    def __init__(
        self,
        order: Order,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._order = order
        self._command = tuple(command)
        self._environment = localnet.clean_environment(os.environ)
        self._dice = random.Random()  # noqa: S311 # chooses ports, guards no secret
        self._display = Display(json=order.json, give_up=self._give_up)
        self._feed_url: asyncio.Future[str] = asyncio.Future()
        self._supervisor = Supervisor(self._hear)
        self._postgres: EmbeddedPostgres | None = None
        self._work: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Run until the time is over or the task is cancelled; leaves nothing running.

        Raises LaunchError.
        """
        self._work = asyncio.current_task()
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._run(stack)
        except DataFolderError as error:
            raise LaunchError(str(error)) from error
        except EmbeddedPostgresError as error:
            raise LaunchError(f"{error}") from error

    def say_stopping(self) -> None:
        """Say at once that we were told to stop, for the end itself takes seconds."""
        self._display.say("stopping", "stopping; once more ends everything at once")

    def kill(self) -> None:
        """End everything at once, at the cost of grace."""
        self._supervisor.kill()
        self._kill_postgres()

    async def _run(self, stack: contextlib.AsyncExitStack) -> None:
        folder = DataFolder.open(self._order.data)
        stack.callback(folder.close)
        network, wanted = self._take_network(folder)
        layout = self._choose_layout(len(network.nodes))
        try:
            prices = await choose_prices(
                self._order.feed,
                wanted.spec.price.sources,
                wanted.spec.price.min_sources,
                network.file.epochs[-1].pairs[0],
            )
        except NoLivePricesError as error:
            raise LaunchError(str(error)) from error
        database = self._order.database or await self._start_postgres(folder, stack)
        await _bring_schema(database)

        self._display.take_network(folder, network)
        stack.push_async_callback(self._supervisor.stop)
        refused = asyncio.create_task(self._supervisor.wait_refused(), name="refused")
        stack.callback(refused.cancel)
        if not prices.sources:
            url = await self._start_feed(layout, network, refused)
            source = make_coinbase_like("simulated", url, simulated=True)
            prices = Prices((source,), 1, prices.words)
        bundled = None if self._postgres is None else self._postgres.psql
        self._display.show_start(
            Start(network, layout, folder.path, database, prices.words, bundled), int(time.time())
        )
        for child in localnet.make_node_children(
            self._command,
            self._environment,
            network,
            layout,
            network_path=folder.network_path,
            database=database,
            sources=prices.sources,
            min_sources=prices.min_sources,
            access=wanted.spec.access.mode.value,
        ):
            self._supervisor.start(child)
        await asyncio.wait([refused], timeout=self._order.duration_s)
        if refused.done():
            raise _explain_refusal(refused.result())
        self._display.say("stopping", "the time is over, stopping")

    def _take_network(self, folder: DataFolder) -> tuple[LocalNetwork, PriceNetwork]:
        """Return the folder's network, made if there is none, and what was asked for."""
        order = self._order
        held = folder.load()
        if held is not None:
            document = held.file.epochs[-1]
            if order.resource is None:
                wanted = Wishes().lay_over(make_resource({}))
                differences = order.wishes.find_differences(document)
            else:
                wanted = order.wishes.lay_over(order.resource)
                differences = find_differences(wanted.spec, document)
            if differences:
                message = explain_differences(order.data, differences)
                raise LaunchError(message, _EXIT_CONFIGURATION)
            return held, wanted
        wanted = order.wishes.lay_over(
            order.resource or make_resource({"price": {"interval": INTERVAL_S}})
        )
        return folder.create(wanted.spec, start=int(time.time())), wanted

    def _choose_layout(self, nodes: int) -> Layout:
        first = self._order.port
        wanted = range(first, first + nodes + 1)
        for number, port in enumerate(wanted):
            if port > 65_535 or not is_free(port):
                owner = f"node-{number}" if number else "the bootstrap node"
                trouble = "is no port" if port > 65_535 else "is taken"
                raise LaunchError(
                    f"port {port}, for the HTTP of {owner}, {trouble}: choose another first port "
                    f"with --port ({nodes + 1} in a row are needed)"
                )
        try:
            p2p_ports = choose_ports(nodes + 2, self._dice, taken=wanted)
        except OSError as error:
            raise LaunchError(str(error)) from error
        return Layout(first, tuple(p2p_ports[:-1]), p2p_ports[-1])

    async def _start_postgres(self, folder: DataFolder, stack: contextlib.AsyncExitStack) -> str:
        postgres = self._postgres = EmbeddedPostgres(folder.postgres_path)
        will = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", last_will.__file__),
            str(postgres.folder / "data" / "postmaster.pid"),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

        async def leave_no_will() -> None:
            will.kill()
            await will.wait()

        stack.push_async_callback(leave_no_will)
        starting = asyncio.ensure_future(asyncio.to_thread(postgres.start))

        async def stop() -> None:
            # What has not finished to start cannot be stopped; why it failed was said already.
            await asyncio.gather(starting, return_exceptions=True)
            stopping = asyncio.ensure_future(asyncio.to_thread(postgres.stop))
            await asyncio.wait([stopping], timeout=POSTGRES_STOP_S)
            self._kill_postgres()
            await stopping

        stack.push_async_callback(stop)
        return await asyncio.shield(starting)

    def _kill_postgres(self) -> None:
        pid = self._postgres.pid if self._postgres else None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _start_feed(
        self, layout: Layout, network: LocalNetwork, refused: asyncio.Task[ChildRefusedError]
    ) -> str:
        self._supervisor.start(
            localnet.make_feed_child(self._command, self._environment, layout, network)
        )
        waiting: tuple[asyncio.Future[Any], ...] = (self._feed_url, refused)
        await asyncio.wait(waiting, timeout=FEED_START_S, return_when=asyncio.FIRST_COMPLETED)
        if refused.done():
            raise _explain_refusal(refused.result())
        if not self._feed_url.done():
            raise LaunchError(f"the simulated feed did not start within {FEED_START_S:g} s")
        return self._feed_url.result()

    def _hear(self, happening: Happening) -> None:
        match happening:
            case Line("feed", text) if text.startswith("http://"):
                if not self._feed_url.done():
                    self._feed_url.set_result(text.strip())
            case _:
                self._display.hear(happening)

    def _give_up(self) -> None:
        if self._work is not None:
            self._work.cancel()


async def _bring_schema(database: str) -> None:
    try:
        await migrate(database)
    except DatabaseUrlError as error:
        raise LaunchError(f"--database: {error}", _EXIT_CONFIGURATION) from error
    except SQLAlchemyError as error:
        # The statement's own error; SQLAlchemy adds a page of SQL to it.
        raise LaunchError(describe_unusable(database, error.__cause__ or error)) from error
    except TROUBLE as error:
        raise LaunchError(describe_unusable(database, error)) from error


def _explain_refusal(error: ChildRefusedError) -> LaunchError:
    return LaunchError(str(error), _EXIT_CONFIGURATION)
