"""The supervisor, with real small processes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gossip_price.adapters.supervisor import (
    Backoff,
    Child,
    ChildRefusedError,
    Died,
    Happening,
    Line,
    Restarted,
    Supervisor,
    describe_exit,
)

DEADLINE_S = 20.0
NODE = Path(__file__).parents[2] / "node"


class Diary:
    """Everything the supervisor tells, and a way to wait for it."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []
        self._news = asyncio.Event()

    def write(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._news.set()

    async def wait(self, predicate: Callable[[Happening], bool], count: int = 1) -> list[Happening]:
        async with asyncio.timeout(DEADLINE_S):
            while len(found := [one for one in self.happenings if predicate(one)]) < count:
                self._news.clear()
                await self._news.wait()
        return found

    async def wait_line(self, text: str, count: int = 1) -> None:
        await self.wait(lambda one: isinstance(one, Line) and one.text == text, count)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
async def supervisor(diary: Diary) -> AsyncIterator[Supervisor]:
    """A supervisor whose restarts do not keep a test waiting."""
    dice = random.Random(1)  # noqa: S311 # the seed makes it the same each time
    supervisor = Supervisor(diary.write, dice=dice, backoff=Backoff(first_s=0.01, max_s=0.02))
    yield supervisor
    supervisor.kill()
    await supervisor.stop()


def child(
    name: str, program: str, *arguments: str, stage: int = 0, grace_s: float = DEADLINE_S
) -> Child:
    environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
    command = (sys.executable, "-u", "-c", program, *arguments)
    return Child(name, command, environment, stage, grace_s)


SLEEPER = "import signal; print('ready'); signal.pause()"
POLITE = """
import signal, sys
def leave(*_):
    print('leaving')
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print('ready')
while True:
    signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, lambda *_: print('no'))
print('ready')
while True:
    signal.pause()
"""


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "Z"


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 # the kernel tells nobody of a stranger's end
            await asyncio.sleep(0.01)


async def test_what_a_child_prints_on_both_streams_comes_out_line_by_line(
    supervisor: Supervisor, diary: Diary
) -> None:
    program = (
        "import os, sys, signal\n"
        "print('one'); print('two', file=sys.stderr); print(os.environ['GREETING'])\n"
        "sys.stdout.write('last, without an end'); sys.stdout.flush(); sys.exit(3)"
    )
    supervisor.start(child("talker", program))
    await diary.wait_line("last, without an end")
    lines = [one.text for one in diary.happenings if isinstance(one, Line)]
    assert lines[:4] == ["one", "two", "hello", "last, without an end"]


async def test_an_endless_line_is_cut_and_not_kept_in_memory(
    supervisor: Supervisor, diary: Diary
) -> None:
    program = "import signal; print('x' * 300_000, end='', flush=True); print(); signal.pause()"
    supervisor.start(child("babbler", program))

    def count() -> int:
        return sum(len(one.text) for one in diary.happenings if isinstance(one, Line))

    await wait_until(lambda: count() == 300_000)
    assert len(diary.happenings) > 1


async def test_a_child_that_is_killed_is_started_again_and_it_is_said(
    supervisor: Supervisor, diary: Diary
) -> None:
    supervisor.start(child("node-1", SLEEPER))
    await diary.wait_line("ready")
    first = supervisor.get_pids()["node-1"]
    os.kill(first, signal.SIGKILL)
    await diary.wait_line("ready", count=2)
    second = supervisor.get_pids()["node-1"]
    assert second != first
    died, restarted = (one for one in diary.happenings if not isinstance(one, Line))
    assert isinstance(died, Died)
    assert (died.name, died.how) == ("node-1", "killed by SIGKILL")
    assert restarted == Restarted("node-1", second)


async def test_a_configuration_that_is_refused_is_not_tried_again(
    supervisor: Supervisor, diary: Diary
) -> None:
    supervisor.start(child("node-1", "import sys; print('GP_X: no'); sys.exit(2)"))
    async with asyncio.timeout(DEADLINE_S):
        refusal = await supervisor.wait_refused()
    assert isinstance(refusal, ChildRefusedError)
    assert str(refusal) == "node-1 refuses its configuration:\nGP_X: no"
    assert diary.happenings == [Line("node-1", "GP_X: no")]
    assert supervisor.get_pids() == {}


async def test_a_command_that_is_not_there_dies_with_its_name(
    supervisor: Supervisor, diary: Diary
) -> None:
    supervisor.start(Child("ghost", ("/nonexistent/program",), {}))
    await diary.wait_line("/nonexistent/program: No such file or directory")


async def test_stop_asks_stage_by_stage_and_leaves_nothing(
    supervisor: Supervisor, diary: Diary
) -> None:
    supervisor.start(child("bootstrap", POLITE, stage=1))
    supervisor.start(child("node-1", POLITE))
    supervisor.start(child("node-2", POLITE))
    await diary.wait_line("ready", count=3)
    pids = supervisor.get_pids().values()
    await supervisor.stop()
    assert all(map(is_gone, pids))
    leaving = [one.name for one in diary.happenings if one == Line(one.name, "leaving")]
    assert sorted(leaving[:2]) == ["node-1", "node-2"]
    assert leaving[2:] == ["bootstrap"]
    assert not [one for one in diary.happenings if isinstance(one, Died)]


async def test_who_does_not_leave_in_time_is_killed(supervisor: Supervisor, diary: Diary) -> None:
    supervisor.start(child("stubborn", STUBBORN, grace_s=0.05))
    await diary.wait_line("ready")
    pid = supervisor.get_pids()["stubborn"]
    await supervisor.stop()
    assert is_gone(pid)


async def test_stop_does_not_wait_for_a_restart_that_is_due_much_later(diary: Diary) -> None:
    supervisor = Supervisor(diary.write, backoff=Backoff(first_s=3600, max_s=3600))
    supervisor.start(child("crasher", "raise SystemExit(1)"))
    await diary.wait(lambda one: isinstance(one, Died))
    async with asyncio.timeout(DEADLINE_S):
        await supervisor.stop()


async def test_what_a_child_has_started_itself_does_not_outlive_it(
    supervisor: Supervisor, diary: Diary
) -> None:
    program = (
        "import subprocess, sys\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(grandchild.pid)\n"
        "sys.exit(1)"
    )
    supervisor.start(child("parent", program))
    await diary.wait(lambda one: isinstance(one, Died))
    pid = int(next(one.text for one in diary.happenings if isinstance(one, Line)))
    await wait_until(lambda: is_gone(pid))


async def test_children_are_out_of_reach_of_the_terminals_interrupt(
    supervisor: Supervisor, diary: Diary
) -> None:
    supervisor.start(child("node-1", SLEEPER))
    await diary.wait_line("ready")
    pid = supervisor.get_pids()["node-1"]
    assert os.getsid(pid) == pid != os.getsid(0)


async def test_children_die_even_with_a_supervisor_that_is_killed() -> None:
    program = f"""
import asyncio, sys
sys.path.insert(0, {str(NODE)!r})
from gossip_price.adapters.supervisor import Child, Line, Supervisor
async def main():
    def tell(one):
        print(supervisor.get_pids()["node-1"], flush=True)
    supervisor = Supervisor(tell)
    supervisor.start(Child("node-1", (sys.executable, "-u", "-c", {SLEEPER!r}), {{}}))
    await asyncio.Event().wait()
asyncio.run(main())
"""
    middle = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert middle.stdout is not None
    pid = int(await middle.stdout.readline())
    assert not is_gone(pid)
    middle.kill()
    await middle.wait()
    await wait_until(lambda: is_gone(pid))


def test_pauses_double_are_jittered_and_bounded() -> None:
    backoff = Backoff(first_s=1, max_s=8)
    dice = random.Random(7)  # noqa: S311 # the seed makes it the same each time
    for deaths, full in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1000, 8)]:
        pauses = [backoff.compute_pause(deaths, dice) for _ in range(50)]
        assert all(full / 2 <= pause <= full for pause in pauses)
        assert len(set(pauses)) > 1


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "ended by itself"), (1, "exit code 1"), (-9, "killed by SIGKILL")],
)
def test_an_end_is_described_in_words(code: int, said: str) -> None:
    assert describe_exit(code) == said


def test_a_childs_environment_is_no_part_of_its_repr() -> None:
    shown = repr(Child("node-1", ("true",), {"GP_DATABASEURL": "postgresql://u:secret@h/d"}))
    assert "secret" not in shown
