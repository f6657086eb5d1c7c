"""A whole network as its user runs it: `gossip-price up` as a process, its JSON log as events.

Waiting is always for something that happens, with a deadline; nothing sleeps for luck.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from gossip_price.adapters.tcp_ports import is_free

ROOT: Final = Path(__file__).parents[1]
#: Generous: a loaded machine is slow, a broken network never gets there.
DEADLINE_S: Final = 120.0

Event = dict[str, Any]


def make_environment() -> dict[str, str]:
    """Return this process's environment without GP_* and with our source roots."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GP_")}
    return clean | {"PYTHONPATH": str(ROOT / "node")}


def run_command(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `gossip-price` with these arguments to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gossip_price", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=make_environment(),
        check=False,
    )


def find_free_ports(count: int) -> int:
    """Return the first of `count` ports in a row on which nobody listens.

    Below 20000, from where `up` takes the ports that it chooses itself.
    """
    return next(
        first
        for first in range(15_000 + os.getpid() * 40 % 4_800, 20_000 - count, count)
        if all(is_free(first + number) for number in range(count))
    )


class LiveNetwork:
    """`gossip-price up --log-format json` and everything that it has said so far."""

    def __init__(self, *arguments: str, port: int) -> None:
        self.port = port
        self.events: list[Event] = []
        self.text: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            # Never the default feed, which would ask a real exchange.
            [
                *(sys.executable, "-m", "gossip_price", "up"),
                *("--log-format", "json", "--feed", "simulated", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=make_environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._reader.join(DEADLINE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if error is not None:
            error.add_note("the network's last words:\n" + "\n".join(self.text[-40:]))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.text.append(line.rstrip())
                try:
                    event = json.loads(line)
                except ValueError:
                    event = None
                if isinstance(event, dict):
                    self.events.append(event)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, found: Callable[[list[Event]], Any], what: str) -> Any:
        """Return what `found` makes of the events as soon as that is true."""
        end = time.monotonic() + DEADLINE_S
        with self._news:
            while True:
                result = found(self.events)
                if result:
                    return result
                if self.process.poll() is not None:
                    raise AssertionError(f"`up` ended with {self.process.returncode}, no {what}")
                if not self._news.wait(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"no {what} within {DEADLINE_S:.0f} s")

    def wait_for_stored(self, count: int, *, after: int = 0) -> list[str]:
        """Return the ids of prices stored since event number `after`, once there are `count`."""

        def find(events: list[Event]) -> list[str]:
            ids = [event["id"] for event in events[after:] if event["event"] == "stored"]
            return ids if len(ids) >= count else []

        found: list[str] = self.wait_for(find, f"{count} stored prices")
        return found

    def wait_for_event(self, name: str) -> Event:
        """Return the first event of this name."""
        found: Event = self.wait_for(
            lambda events: next((event for event in events if event["event"] == name), None), name
        )
        return found

    def get_ids(self, name: str, events: list[Event] | None = None) -> set[str]:
        """Return the ids of all prices that an event of this name was about."""
        chosen = self.events if events is None else events
        return {event["id"] for event in chosen if event["event"] == name}

    def get_member(self, index: int) -> str:
        """Return the address that node `index` signs with."""
        found: Event = self.wait_for(
            lambda events: next(
                (
                    event
                    for event in events
                    if event["event"] == "listening" and event["node"] == f"node-{index}"
                ),
                None,
            ),
            f"start of node {index}",
        )
        return str(found["address"])

    def wait_until_healthy(self) -> Any:
        """Return what `gossip-price status` says of the first node as soon as all is well."""
        end = time.monotonic() + DEADLINE_S
        url = f"http://127.0.0.1:{self.port + 1}"
        while True:
            asked = run_command("status", "--url", url, "--json")
            told = json.loads(asked.stdout)
            assert (asked.returncode == 0) == (told["health"] == "healthy"), asked.stderr
            if asked.returncode == 0:
                return told
            if time.monotonic() > end:
                raise AssertionError(f"not healthy within {DEADLINE_S:.0f} s: {told['reasons']}")
            self.process_wait(1)

    def restarted_after(self, mark: int, node: str) -> int:
        """Return the number of the first event at which `node` listens again after `mark`."""
        for number, event in enumerate(self.events[mark:], mark):
            if event["event"] == "listening" and event["node"] == node:
                return number
        return len(self.events)

    def process_wait(self, seconds: float) -> None:
        """Let the network run for a while; raise if it ends meanwhile."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"`up` ended with {code}")

    def mark(self) -> int:
        """Return the number of events so far, to wait for what comes after."""
        with self._news:
            return len(self.events)

    def get_children(self) -> list[psutil.Process]:
        """Return every process that `up` has started, their children included."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def find_node(self, index: int) -> psutil.Process:
        """Return node `index`'s process (0 is the bootstrap)."""
        for child in self.get_children():
            try:
                environment = child.environ()
            except psutil.Error:
                continue
            if environment.get("GP_HTTPADDR", "").endswith(f":{self.port + index}"):
                return child
        raise AssertionError(f"node {index} does not run")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code
