"""Processes that are kept running: start, watch, restart with backoff, and end them all.

Each child is in a session of its own, so that a terminal's Ctrl-C reaches only us, and dies
with us even when we are killed (`tether`). What children print comes out as Line values. Knows
nothing of nodes or prices; knows one meaning of an exit code: 2, a configuration that no retry
will mend.

The loop must run in the process's main thread: Linux counts the death of the thread that
started a child as the parent's death.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from gossip_price.adapters import tether

#: What argparse and our settings exit with when what they were given cannot be right.
EXIT_CONFIGURATION: Final = 2
#: One line of a child; what is longer is cut into pieces.
LINE_BYTES_MAX: Final = 64 * 1024
#: Lines kept of each child, to be shown when it gives up for good.
LINES_KEPT: Final = 20
#: After a child has ended, what it left in its pipe is there at once.
DRAIN_S: Final = 0.5
#: After SIGKILL only the kernel is in the way.
KILL_S: Final = 1.0


@dataclass(frozen=True, eq=False)
class Child:
    """A process to keep running.

    `stage` orders the end: stage 0 is asked to leave first and, after `grace_s`, killed; then
    the next. The environment may hold secrets and is no part of the repr.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    stage: int = 0
    grace_s: float = 3.0


@dataclass(frozen=True)
class Backoff:
    """How long to wait before restart k: doubling, jittered, bounded.

    A child that ran for `steady_s` begins anew at `first_s`.
    """

    first_s: float = 0.5
    max_s: float = 30.0
    steady_s: float = 60.0

    def compute_pause(self, deaths: int, dice: random.Random) -> float:
        """Return the seconds before the restart after the `deaths`-th death in a row."""
        full = min(self.max_s, self.first_s * 2.0 ** min(deaths - 1, 16))
        return full * dice.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Line:
    """A child printed this (without its line end)."""

    name: str
    text: str


@dataclass(frozen=True)
class Died:
    """A child ended and will be started again in `pause_s`."""

    name: str
    how: str
    pause_s: float


@dataclass(frozen=True)
class Restarted:
    """A child that had died runs again, as process `pid`."""

    name: str
    pid: int


Happening = Line | Died | Restarted


class ChildRefusedError(Exception):
    """A child will not run with the configuration it was given; `lines` are its last words."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__("\n".join([f"{name} refuses its configuration:", *lines]))
        self.name = name
        self.lines = tuple(lines)


class Supervisor:
    """Keeps children running until it is stopped.

    `tell` is called on the loop with everything that happens; it must not block or raise.
    """

    def __init__(
        self,
        tell: Callable[[Happening], None],
        *,
        dice: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._tell = tell
        self._dice = dice or random.Random()  # noqa: S311 # spreads restarts, guards no secret
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._refused: asyncio.Future[ChildRefusedError] = asyncio.Future()
        self._keepers: dict[Child, asyncio.Task[None]] = {}
        self._processes: dict[Child, _Process] = {}

    def start(self, child: Child) -> None:
        """Keep `child` running from now on."""
        keeper = asyncio.create_task(self._keep(child), name=f"keep {child.name}")
        keeper.add_done_callback(self._fail_loudly)
        self._keepers[child] = keeper

    def get_pids(self) -> dict[str, int]:
        """Return the process ids of the children that run now, by name."""
        return {child.name: process.pid for child, process in self._processes.items()}

    async def wait_refused(self) -> ChildRefusedError:
        """Return once a child has refused its configuration."""
        return await asyncio.shield(self._refused)

    async def stop(self) -> None:
        """End all children, stage by stage: SIGTERM, the stage's grace, SIGKILL.

        Takes at most the sum of the stages' longest graces and a second.
        """
        self._stopping.set()
        for stage in sorted({child.stage for child in self._keepers}):
            members = [child for child in self._keepers if child.stage == stage]
            for child in members:
                self._signal(child, signal.SIGTERM)
            keepers = [self._keepers[child] for child in members]
            await asyncio.wait(keepers, timeout=max(child.grace_s for child in members))
            for child in members:
                self._signal(child, signal.SIGKILL)
        if self._keepers:
            await asyncio.wait(self._keepers.values(), timeout=KILL_S)
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    def kill(self) -> None:
        """Send SIGKILL to everything, at once."""
        self._stopping.set()
        for child in self._processes:
            self._signal(child, signal.SIGKILL)

    def _fail_loudly(self, keeper: asyncio.Task[None]) -> None:
        """Let whoever waits for us know of trouble of our own, as of a process not made."""
        trouble = None if keeper.cancelled() else keeper.exception()
        if trouble is not None and not self._refused.done():
            self._refused.set_exception(trouble)

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        last_words: deque[str] = deque(maxlen=LINES_KEPT)

        def hear(text: str) -> None:
            last_words.append(text)
            self._tell(Line(child.name, text))

        while not self._stopping.is_set():
            born = loop.time()
            code = await self._run(child, hear, reborn=deaths > 0)
            if self._stopping.is_set():
                return
            if code == EXIT_CONFIGURATION:
                if not self._refused.done():
                    self._refused.set_result(ChildRefusedError(child.name, last_words))
                return
            deaths = 1 if loop.time() - born >= self._backoff.steady_s else deaths + 1
            pause = self._backoff.compute_pause(deaths, self._dice)
            self._tell(Died(child.name, describe_exit(code), pause))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _run(self, child: Child, hear: Callable[[str], None], *, reborn: bool) -> int:
        """Start the child, hand on its lines, and return its exit code when it has ended."""
        # -I -S: the tether needs nothing but the standard library, and should cost nothing.
        bound = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *child.command)
        process = await _Process.spawn(bound, child.environment, hear)
        self._processes[child] = process
        if self._stopping.is_set():  # told to stop while the process was being made
            process.send(signal.SIGKILL)
        elif reborn:
            self._tell(Restarted(child.name, process.pid))
        try:
            return await process.wait()
        finally:
            del self._processes[child]

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if (process := self._processes.get(child)) is not None:
            process.send(number)


class _Process(asyncio.SubprocessProtocol):
    """One life of a child.

    Not asyncio's own Process: its `wait` returns only when the pipes are closed too, which a
    grandchild that inherited them puts off for ever; and its `send_signal` may take the exit
    code away from the child watcher.
    """

    pid: int
    _transport: asyncio.SubprocessTransport

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._rest = b""
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()

    @classmethod
    async def spawn(
        cls, command: Sequence[str], environment: Mapping[str, str], hear: Callable[[str], None]
    ) -> Self:
        transport, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(hear),
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        process._transport = transport
        process.pid = transport.get_pid()
        return process

    async def wait(self) -> int:
        """Return the exit code, once the process and all that it started are gone."""
        try:
            await self._exited.wait()
            # Whatever it started is in its group, and must not outlive it.
            self._kill_group(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), DRAIN_S)
        finally:
            self._transport.close()
        self._flush()
        code = self._transport.get_returncode()
        return 0 if code is None else code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        if not self._exited.is_set():
            self._kill_group(number)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 # asyncio's
        """Cut what comes into lines (from asyncio)."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace").rstrip("\r"))
        if len(self._rest) > LINE_BYTES_MAX:
            self._flush()

    def process_exited(self) -> None:
        """Note the end (from asyncio)."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's
        """Note that the pipe is closed as well (from asyncio)."""
        self._closed.set()

    def _flush(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._hear(rest.decode(errors="replace"))

    def _kill_group(self, number: signal.Signals) -> None:
        # macOS says PermissionError of a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def describe_exit(code: int) -> str:
    """Say how a process ended, from its exit code as `subprocess` gives it."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else "ended by itself"
