"""A journal as it lies on the disk, read by its columns and not by the product's own code."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gossip_price.simulator.facts import Claim


@dataclass
class JournalContent:
    """Votes: (key, id, claim). Proven: id → (claim, members who signed, state -1 to 2)."""

    votes: list[tuple[str, bytes, Claim]] = field(default_factory=list)
    proven: dict[bytes, tuple[Claim, tuple[int, ...], int]] = field(default_factory=dict)
    stored: tuple[bytes, ...] = ()
    left: tuple[bytes, ...] = ()


def read_journal(path: Path) -> JournalContent:
    """Read a copy of the file and of its write-ahead log; the owner may live on."""
    with tempfile.TemporaryDirectory(prefix="gp-journal-") as folder:
        copy = Path(folder) / "journal.sqlite"
        for ending in ("", "-wal"):
            source = path.with_name(path.name + ending)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + ending))
        connection = sqlite3.connect(copy)
        try:
            votes = connection.execute("SELECT key, id, report FROM votes ORDER BY key").fetchall()
            proven = connection.execute("SELECT id, entry, stored FROM proven").fetchall()
        finally:
            connection.close()
    content = JournalContent()
    for key, id_, report in votes:
        content.votes.append((key, id_, Claim(*msgspec.msgpack.decode(report))))
    for id_, entry, stored in proven:
        fields, signatures = msgspec.msgpack.decode(entry)
        members = tuple(member for member, _ in signatures)
        content.proven[id_] = (Claim(*fields), members, stored)
    content.stored = tuple(id_ for id_, (*_, stored) in content.proven.items() if stored > 0)
    content.left = tuple(id_ for id_, (*_, stored) in content.proven.items() if stored < 0)
    return content
