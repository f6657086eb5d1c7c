from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gossip_price.adapters.journal import SqliteJournal
from gossip_price.core.events import EpochRecord, Forget, LeftToOthers, RoundRecord, StoredRecord
from gossip_price.ports import ForeignJournalError, Journal, JournalError
from journal_cases import (
    ADDRESS,
    BIRTH_MS,
    NETWORK_ID,
    make_id,
    make_proven,
    make_vote,
    open_journal,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_a_new_journal_remembers_only_its_birth(path: Path) -> None:
    journal: Journal = open_journal(path)
    memory = journal.load()
    journal.close()
    assert memory.birth_ms == BIRTH_MS
    assert (memory.highest_round, memory.votes, memory.proven, memory.stored) == (0, (), (), ())


def test_the_birth_is_that_of_the_file_and_not_of_the_process(path: Path) -> None:
    open_journal(path).close()
    reopened = open_journal(path, now_ms=BIRTH_MS + 1_000_000)
    assert reopened.load().birth_ms == BIRTH_MS
    reopened.close()


def test_a_file_that_was_never_finished_is_born_when_it_is(path: Path) -> None:
    path.touch()
    journal = open_journal(path)
    assert journal.load().birth_ms == BIRTH_MS
    journal.close()


def test_proven_entries_are_read_back_page_by_page_by_round_and_id(path: Path) -> None:
    journal = open_journal(path)
    in_order = [make_proven(600 * (n // 2), n, last_signed_ms=n) for n in range(2, 8)]
    journal.write(list(reversed(in_order)))
    read: list[object] = []
    after = (0, bytes(32))
    while page := journal.read_proven_range(after, 4):
        assert len(page) <= 4
        read += page
        after = (page[-1].entry.report.round, page[-1].id)
    assert read == in_order
    journal.close()
    with pytest.raises(JournalError):
        journal.read_proven_range(after, 4)


def test_proven_entries_are_read_newest_first_by_pair_with_what_is_stored(path: Path) -> None:
    journal = open_journal(path)
    in_order = [make_proven(600 * (n // 2), n) for n in range(2, 8)]
    other = make_proven(1200, 9, pair="BTC-USD")
    journal.write([*in_order, other, StoredRecord(make_id(7), confirmed=False)])
    newest = list(reversed(in_order))
    end = (1 << 53, b"")
    assert journal.read_newest("ETH-USD", end, 0, 2) == ((newest[0], True), (newest[1], False))
    rest = journal.read_newest("ETH-USD", (1800, make_id(6)), 1200, 10)
    assert [record for record, _ in rest] == newest[2:4]
    every = [record for record, _ in journal.read_newest(None, end, 1200, 10)]
    assert every == [*newest[:2], other, *newest[2:4]]
    assert journal.find_proven(make_id(7)) == (newest[0], True)
    assert journal.find_proven(make_id(8)) is None
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.read_newest(None, end, 0, 1)


def test_a_journal_of_a_version_that_knew_no_pairs_is_read_by_pair_too(path: Path) -> None:
    journal = open_journal(path)
    entries = [make_proven(600 * n, n) for n in range(1, 4)]
    journal.write(entries)
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP INDEX proven_by_pair")
    connection.execute("ALTER TABLE proven DROP COLUMN pair")
    connection.commit()
    connection.close()
    journal = open_journal(path)
    found = journal.read_newest("ETH-USD", (1 << 53, b""), 0, 10)
    assert [record for record, _ in found] == list(reversed(entries))
    journal.close()
    # Back in the older version for a while, which writes entries without their pair.
    connection = sqlite3.connect(path)
    connection.execute("UPDATE proven SET pair = NULL WHERE round = 1200")
    connection.commit()
    connection.close()
    journal = open_journal(path)
    assert len(journal.read_newest("ETH-USD", (1 << 53, b""), 0, 10)) == 3
    journal.close()


def test_proven_entries_are_read_back_by_id(path: Path) -> None:
    journal = open_journal(path)
    one, two, three = (make_proven(600 * n, n, last_signed_ms=n) for n in (1, 2, 3))
    journal.write([three, one, two])
    assert journal.read_proven([make_id(3), make_id(9), make_id(1)]) == (one, three)
    assert journal.read_proven([]) == ()
    journal.close()
    with pytest.raises(JournalError):
        journal.read_proven([make_id(1)])


def test_the_newest_epoch_is_remembered_and_a_journal_of_before_has_none(path: Path) -> None:
    journal = open_journal(path)
    assert journal.load().epoch is None
    journal.write([EpochRecord(1, make_id(1)), EpochRecord(2, make_id(2))])
    journal.close()
    journal = open_journal(path)
    assert journal.load().epoch == EpochRecord(2, make_id(2))
    journal.close()


def test_everything_written_is_there_after_reopening(path: Path) -> None:
    journal = open_journal(path)
    votes = (make_vote(600, 1), make_vote(1200, 2))
    proven = (make_proven(600, 1, last_signed_ms=5), make_proven(1200, 2, last_signed_ms=6))
    stored = (StoredRecord(make_id(1), confirmed=True), StoredRecord(make_id(2), confirmed=False))
    journal.write([*votes, *proven, *stored, RoundRecord(1200)])
    journal.close()
    journal = open_journal(path)
    memory = journal.load()
    journal.close()
    assert (memory.votes, memory.proven, memory.stored) == (votes, proven, stored)
    assert memory.highest_round == 1200


def test_a_second_vote_under_one_key_is_refused_and_nothing_of_its_batch_stands(
    path: Path,
) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1)])
    before = journal.load()
    with pytest.raises(JournalError, match=f"under ETH-USD|600.*{make_id(1).hex()}"):
        journal.write([RoundRecord(9000), make_vote(1200, 3), make_proven(1, 9), make_vote(600, 2)])
    assert journal.load() == before
    journal.write([make_vote(1200, 4)])  # and the journal goes on
    journal.close()


def test_two_votes_for_one_key_in_one_batch_are_refused(path: Path) -> None:
    journal = open_journal(path)
    with pytest.raises(JournalError, match="signed before"):
        journal.write([make_vote(600, 1), make_vote(600, 2)])
    assert journal.load().votes == ()
    journal.close()


def test_the_same_vote_again_is_fine(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1)])
    journal.write([make_vote(600, 1), make_vote(600, 1)])
    assert journal.load().votes == (make_vote(600, 1),)
    journal.close()


def test_the_highest_round_never_goes_down(path: Path) -> None:
    journal = open_journal(path)
    journal.write([RoundRecord(1200)])
    journal.write([RoundRecord(600)])
    assert journal.load().highest_round == 1200
    journal.close()


def test_signatures_that_come_later_replace_the_entry_and_keep_its_state(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_proven(600, 1, signers=3), StoredRecord(make_id(1), confirmed=True)])
    journal.write([make_proven(600, 1, signers=4, last_signed_ms=9)])
    memory = journal.load()
    assert memory.proven == (make_proven(600, 1, signers=4, last_signed_ms=9),)
    assert memory.stored == (StoredRecord(make_id(1), confirmed=True),)
    journal.close()


def test_a_receipt_does_not_undo_our_own_confirmation(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_proven(600, 1), StoredRecord(make_id(1), confirmed=True)])
    journal.write([StoredRecord(make_id(1), confirmed=False)])
    assert journal.load().stored == (StoredRecord(make_id(1), confirmed=True),)
    journal.close()


def test_what_waits_to_be_stored_is_never_forgotten(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1), make_vote(1200, 4)])
    journal.write([make_proven(600, 1), make_proven(600, 2), make_proven(600, 3)])
    journal.write([make_proven(1200, 4), StoredRecord(make_id(4), confirmed=True)])
    journal.write(
        [StoredRecord(make_id(1), confirmed=True), StoredRecord(make_id(2), confirmed=False)]
    )
    journal.write([Forget(before_round=1200)])
    memory = journal.load()
    assert [record.id for record in memory.proven] == [make_id(3), make_id(4)]
    assert memory.votes == (make_vote(1200, 4),)
    journal.close()


def test_what_is_left_to_others_is_not_called_stored_and_is_forgotten_in_time(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_proven(600, 1), LeftToOthers(make_id(1))])
    journal.write([make_proven(600, 2), StoredRecord(make_id(2), confirmed=True)])
    journal.write([LeftToOthers(make_id(2)), make_proven(600, 3), LeftToOthers(make_id(3))])
    journal.write([StoredRecord(make_id(3), confirmed=False)])
    assert journal.load().stored == (
        StoredRecord(make_id(2), confirmed=True),
        StoredRecord(make_id(3), confirmed=False),
    )
    found = [journal.find_proven(make_id(number)) for number in (1, 2, 3)]
    assert [one is not None and one[1] for one in found] == [False, True, True]
    newest = journal.read_newest(None, (601, bytes(32)), 0, 9)
    assert {record.id: is_stored for record, is_stored in newest} == {
        make_id(1): False, make_id(2): True, make_id(3): True
    }  # fmt: skip
    journal.write([Forget(before_round=1200)])
    assert journal.load().proven == ()
    journal.close()


def test_a_round_that_was_forgotten_is_never_voted_in_again(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1), Forget(before_round=1200)])
    with pytest.raises(JournalError, match="round 600 given, allowed: rounds from 1200"):
        journal.write([make_vote(600, 2)])
    journal.close()


def test_the_peer_book_is_replaced_whole(path: Path) -> None:
    journal = open_journal(path)
    journal.write_peers({"16Uiu2a": ("/ip4/127.0.0.1/tcp/1",), "16Uiu2b": ()})
    journal.write_peers({"16Uiu2a": ("/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/1")})
    journal.close()
    journal = open_journal(path)
    assert journal.load_peers() == {"16Uiu2a": ("/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/1")}
    journal.close()


def test_records_are_synced_even_after_the_unsynced_peer_book(path: Path) -> None:
    journal = open_journal(path)
    assert journal._connection is not None  # what SQLite was told can only be asked there
    journal.write_peers({})
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    journal.write([make_vote(600, 1)])
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_only_its_owner_can_read_it(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1)])
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["journal.db", "journal.db-wal", "journal.db.lock"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    journal.close()


def test_another_process_is_kept_out_and_told_of_the_lock(path: Path) -> None:
    journal = open_journal(path)
    program = (
        "import sys; from pathlib import Path; from journal_cases import open_journal\n"
        "from gossip_price.ports import JournalError\n"
        "try: open_journal(Path(sys.argv[1]))\n"
        "except JournalError as error: print(error)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    child = [sys.executable, "-c", program, str(path)]
    said = subprocess.run(child, env=environment, capture_output=True, text=True, check=True).stdout
    assert "another process holds it" in said
    assert f"{path}.lock" in said
    journal.close()
    said = subprocess.run(child, env=environment, capture_output=True, text=True, check=True).stdout
    assert said == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"address": bytes(20)}, "belongs to address 0x000102.*ours is 0x0000"),
        ({"network_id": bytes(32)}, "belongs to network id 0x000102.*ours is 0x0000"),
    ],
)
def test_a_journal_of_another_key_or_network_is_refused(
    path: Path, changes: dict[str, bytes], said: str
) -> None:
    open_journal(path).close()
    with pytest.raises(ForeignJournalError, match=said):
        open_journal(path, **changes)
    open_journal(path).close()  # the refusal let go of the lock


def test_a_file_of_garbage_names_the_remedy(path: Path) -> None:
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(JournalError, match=r"damaged.*move it aside.*new birth.*only rounds"):
        open_journal(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_page_of_garbage_is_found_when_the_file_is_opened(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_proven(600, number, signers=100) for number in range(50)])
    journal.close()
    raw = bytearray(path.read_bytes())
    raw[8192:20480] = b"\xff" * 12288
    path.write_bytes(raw)
    with pytest.raises(JournalError, match=r"damaged.*move it aside"):
        open_journal(path)


def test_a_record_of_garbage_names_the_remedy(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1)])
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE votes SET report = x'c1'")
    connection.commit()
    connection.close()
    journal = open_journal(path)
    with pytest.raises(JournalError, match=r"a record is unreadable.*move it aside"):
        journal.load()
    journal.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA user_version = 2", "schema version 2 found, allowed: 1.*newer"),
        ("PRAGMA application_id = 7", "another program's file"),
    ],
)
def test_a_file_of_another_version_or_program_is_refused(
    path: Path, statement: str, said: str
) -> None:
    open_journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    with pytest.raises(ForeignJournalError, match=said):
        open_journal(path)


def test_a_missing_folder_is_named(path: Path) -> None:
    with pytest.raises(JournalError, match=r"nowhere/journal.db.*No such file"):
        open_journal(path.parent / "nowhere" / "journal.db")


def test_a_closed_journal_says_so(path: Path) -> None:
    journal = open_journal(path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.write([])


def test_a_file_that_vanishes_after_an_error_is_never_made_anew(path: Path) -> None:
    journal = open_journal(path)
    journal.write([make_vote(600, 1)])
    journal._drop_connection()  # as after an I/O error
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(JournalError, match="unable to open"):
        journal.write([make_vote(600, 2)])
    assert not path.exists()
    journal.close()


def test_a_program_that_holds_the_database_itself_is_reported(path: Path) -> None:
    open_journal(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="another program has the file open"):
        SqliteJournal(path, address=ADDRESS, network_id=NETWORK_ID, now_ms=BIRTH_MS)
    connection.close()
