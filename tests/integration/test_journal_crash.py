"""The journal under SIGKILL and on a full disk, in processes of its own.

SIGKILL proves that every transaction is whole and that nothing acknowledged depends on the
process living on. That the bytes also outlive the machine is SQLite's fsync, which a test can
only ask for (`test_records_are_synced_even_after_the_unsynced_peer_book`).
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import journal_child
from gossip_price.core.events import RoundRecord
from gossip_price.ports import JournalError
from journal_cases import make_id, make_proven, make_vote, open_journal

ENVIRONMENT = {"PYTHONPATH": ":".join(sys.path)}
DEADLINE_S = 60


def run_until_killed(path: Path, first: int, lines: int) -> list[int]:
    """Kill the child after it has acknowledged `lines` batches; return all it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, journal_child.__file__, str(path), str(first)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child, child.stdout as stdout:
        acknowledged = [int(stdout.readline()) for _ in range(lines)]
        child.kill()
        acknowledged += [int(line) for line in stdout if line.endswith("\n")]
        child.wait(DEADLINE_S)
    return acknowledged


def test_what_was_acknowledged_survives_sigkill_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    dice = random.Random(20240501)  # noqa: S311 - a seed, not a secret
    first = 1
    birth_ms = None
    for _ in range(8):
        # Some kills come before the WAL's first checkpoint at 1000 pages, some after it.
        acknowledged = run_until_killed(path, first, dice.choice([1, 2, dice.randrange(3, 400)]))
        journal = open_journal(path, now_ms=1)
        memory = journal.load()
        journal.close()
        assert birth_ms in (None, memory.birth_ms)
        birth_ms = memory.birth_ms
        last = acknowledged[-1]
        # One batch more may stand: written, and the process killed before it could say so.
        assert memory.highest_round in (last, last + 1)
        known = range(1, memory.highest_round + 1)
        assert memory.votes == tuple(make_vote(number, number) for number in known)
        assert memory.proven == tuple(make_proven(number, number) for number in known)
        first = memory.highest_round + 1


def test_a_restarted_process_cannot_contradict_what_the_killed_one_signed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    (*_, last) = run_until_killed(path, 1, 5)
    journal = open_journal(path)
    with pytest.raises(JournalError, match=make_id(last).hex()):
        journal.write([make_vote(last, last + 1)])
    journal.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from journal_cases import make_proven, make_vote, open_journal
from gossip_price.ports import JournalError

path, hard = Path(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
journal = open_journal(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
number, errors = 1, []
while len(errors) < 3:  # a first refusal may find space again: reopening empties the WAL
    assert number < 10_000
    try:
        journal.write([make_vote(number, number), make_proven(number, number, signers=30)])
    except JournalError as error:
        errors.append(error)
    else:
        number, errors = number + 1, []
print(*errors, sep="\\n")
assert len(journal.load().votes) == number - 1, "what was refused must not stand"
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.write([make_vote(number, number + 1)])
journal.close()
print(number)
"""


def test_a_full_disk_refuses_and_the_journal_works_again_when_there_is_space(
    tmp_path: Path,
) -> None:
    """No file may grow beyond 200 kB: every write beyond fails in the kernel, as on a full disk."""
    path = tmp_path / "journal.db"
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    ).stdout.splitlines()
    *errors, number = said
    assert len(errors) == 3
    assert all(str(path) in error and "nothing is signed until" in error for error in errors)
    journal = open_journal(path)
    votes = journal.load().votes
    journal.close()
    refused = int(number)
    assert [vote.report.round for vote in votes] == list(range(1, refused + 1))
    # The refused batch left no trace: its key was free for another id.
    assert votes[-1].id == make_id(refused + 1)


def test_a_journal_that_cannot_be_born_on_a_full_disk_leaves_nothing_to_rely_on(
    tmp_path: Path,
) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from journal_cases import open_journal\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
        "from gossip_price.ports import JournalError\n"
        "try: open_journal(Path(sys.argv[1]), now_ms=1)\n"
        "except JournalError as error: print(error)"
    )
    path = tmp_path / "journal.db"
    said = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    ).stdout
    assert str(path) in said
    journal = open_journal(path)
    journal.write([RoundRecord(5)])
    assert journal.load().birth_ms != 1
    journal.close()
