"""`up` as a process: real Postgres, real supervision, and puppets in the place of nodes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from live_network import find_free_ports, make_environment

TESTS = Path(__file__).parents[1]
DEADLINE_S = 40.0


class Up:
    """A running `up --log-format json`, and what it has said."""

    def __init__(self, data: Path, port: int, *options: str, **environment: str) -> None:
        self.data = data
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, TESTS / "network_of_puppets.py"),
                *("--data", data, "--port", str(port), "--feed", "simulated"),
                *("--log-format", "json", *options),
            ],
            env=make_environment() | {"GP_SOURCES": "the caller's own", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a buffer had read ahead, select would wait for in vain.
            bufsize=0,
            start_new_session=True,
        )

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while len(found := [one for one in self.events if one["event"] == event]) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            line = self.process.stdout.readline() if ready else b""
            if not line:
                self.process.kill()
                assert self.process.stderr is not None
                raise AssertionError(f"no {event}: {self.events} {self.process.stderr.read()!r}")
            self.events.append(json.loads(line))
        return found

    def wait(self) -> tuple[int, str]:
        output, errors = self.process.communicate(timeout=DEADLINE_S)
        self.events += [json.loads(line) for line in output.splitlines()]
        return self.process.returncode, errors.decode()

    def find_pids(self) -> dict[str, int]:
        """Who runs now: the puppets, and Postgres over our folder."""
        pids = {one["node"]: one["pid"] for one in self.events if one["event"] == "puppet"}
        with contextlib.suppress(FileNotFoundError):
            pidfile = self.data / "postgres" / "data" / "postmaster.pid"
            pids["postgres"] = int(pidfile.read_text().splitlines()[0])
        return pids


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def port() -> int:
    return find_free_ports(5)


@pytest.fixture
def start(tmp_path: Path, port: int) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*options: str, **environment: str) -> Up:
        started.append(Up(tmp_path / "data", port, *options, **environment))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ValueError):
            up.process.communicate(timeout=DEADLINE_S)


def test_interrupt_ends_everything_and_the_network_is_there_again_at_the_next_start(
    start: Callable[..., Up], port: int
) -> None:
    first = start()
    first.wait_for("puppet", count=6)
    pids = first.find_pids()
    assert sorted(pids) == ["bootstrap", "feed", "node-1", "node-2", "node-3", "node-4", "postgres"]
    network = (first.data / "network.json").read_bytes()
    first.process.send_signal(signal.SIGINT)
    assert first.wait() == (0, "")
    assert all(map(is_gone, pids.values()))

    second = start("--nodes", "4", "--for", "1s")
    (started,) = second.wait_for("started")
    assert [(node["http"], node["member"]) for node in started["nodes"]] == [
        (f"http://127.0.0.1:{port + number}", member)
        for number, member in enumerate([None, 0, 1, 2, 3])
    ]
    assert second.wait() == (0, "")
    assert (second.data / "network.json").read_bytes() == network


def test_nodes_get_what_they_need_and_nothing_of_the_callers_own(start: Callable[..., Up]) -> None:
    up = start()
    by_name = {one["node"]: one["given"] for one in up.wait_for("puppet", count=6)}
    assert by_name["feed"] == {}
    assert by_name["bootstrap"]["GP_BOOTSTRAP"] == "true"
    assert "GP_SIGNINGKEY_FILE" not in by_name["bootstrap"]
    node = by_name["node-3"]
    assert json.loads(node["GP_SOURCES"])[0]["simulated"] is True
    assert node["GP_BOOTSTRAPADDR"].startswith(by_name["bootstrap"]["GP_CONNECTIONADDR"] + "/p2p/")
    assert len({given["GP_CONNECTIONADDR"] for name, given in by_name.items() if given}) == 5


def test_a_node_that_is_killed_comes_back(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("puppet", count=6)
    os.kill(up.find_pids()["node-2"], signal.SIGKILL)
    (died,) = up.wait_for("child_died")
    assert (died["child"], died["how"]) == ("node-2", "killed by SIGKILL")
    up.wait_for("child_restarted")
    up.wait_for("puppet", count=7)
    first, second = (one for one in up.events if one.get("role") and one["node"] == "node-2")
    assert first["given"] == second["given"]


def test_a_folder_has_one_network_at_a_time(start: Callable[..., Up]) -> None:
    first = start()
    first.wait_for("started")
    code, errors = start().wait()
    assert code == 1
    assert f"(process {first.process.pid}) runs on this folder" in errors


def test_nothing_survives_a_supervisor_that_is_killed(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_for("puppet", count=6)
    pids = up.find_pids()
    up.process.kill()
    wait_until(lambda: all(map(is_gone, pids.values())))


def test_an_interrupt_is_answered_at_once_and_a_second_waits_for_nobody(
    start: Callable[..., Up],
) -> None:
    up = start()
    up.wait_for("puppet", count=6)
    pids = up.find_pids()
    os.kill(pids["node-1"], signal.SIGSTOP)  # so that it cannot leave
    up.process.send_signal(signal.SIGINT)
    up.wait_for("stopping")
    wait_until(lambda: is_gone(pids["node-2"]))
    up.process.send_signal(signal.SIGINT)
    assert up.wait()[0] == 130
    assert all(map(is_gone, pids.values()))


def test_a_configuration_that_a_node_refuses_ends_it_all_with_the_nodes_words(
    start: Callable[..., Up],
) -> None:
    up = start(PUPPET_REFUSES="yes")
    code, errors = up.wait()
    assert code == 2
    assert "refuses its configuration:\nGP_SOURCES: 'x' given" in errors
    assert all(map(is_gone, up.find_pids().values()))
