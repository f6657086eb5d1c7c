"""A node's process: forked from a server that has imported everything, or started as a program.

The fork server is the standard library's; what it preloads saves each life its imports.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final, TextIO

from gossip_price.adapters import tether

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "faults.island_node", "faults.watched_node"])
_PR_SET_PDEATHSIG: Final = 1


class ForkedLife:
    """A process of the fork server."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._process: ForkServerProcess = _CONTEXT.Process(target=target, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or -1

    def is_running(self) -> bool:
        return self._process.exitcode is None

    def wait(self, seconds: float) -> None:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} did not end within {seconds} s")


class ProgramLife:
    """A program with its own environment; dies with us, however we die."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error


def tie_to_parent() -> None:
    """Let this process die with the one that forked it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def redirect_output(path: str) -> None:
    """Let what this process says go to a file, C libraries included."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    stream: TextIO
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
