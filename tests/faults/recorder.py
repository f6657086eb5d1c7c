"""What a node under test saw and did, written fact by fact to a file that outlives its SIGKILL.

One file a life: `<node>.<life>.facts`, frames of 4 bytes of length and MessagePack. A fact is
(monotonic ns, wall ms, monotonic ms, kind, values…): the first is the machine's own and orders the
facts of all nodes, the others are what the node's clocks said. Knows nothing of what facts mean.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gossip_price.core.types import Now

_NAME = re.compile(r"(\d+)\.(\d+)\.facts")


class Fact(NamedTuple):
    """One thing that happened at a node, in one of its lives."""

    ns: int
    wall_ms: int
    mono_ms: int
    node: int
    life: int
    kind: str
    values: tuple[Any, ...]


class Recorder:
    """Writes a life's facts. What `tell` has returned from stays, whatever becomes of us."""

    def __init__(self, folder: Path, node: int, life: int) -> None:
        path = folder / f"{node}.{life}.facts"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def tell(self, now: Now, kind: str, *values: object) -> None:
        """Write a fact."""
        data = msgspec.msgpack.encode(
            (time.monotonic_ns(), now.wall_ms, now.mono_ms, kind, *values)
        )
        os.write(self._file, len(data).to_bytes(4, "big") + data)


class Facts:
    """All facts of all lives in a folder, read again and again while they are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Fact] = []
        self._read: dict[Path, int] = {}

    def read(self) -> list[Fact]:
        """Return the facts that are new since the last call; `all` has every one, in order."""
        news: list[Fact] = []
        for path in sorted(self.folder.glob("*.facts")):
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            place = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(place)
                data = file.read()
            facts, taken = _split(data, int(match[1]), int(match[2]))
            self._read[path] = place + taken
            news += facts
        news.sort(key=lambda fact: fact.ns)
        if self.all and news and news[0].ns < self.all[-1].ns:
            self.all = sorted(self.all + news, key=lambda fact: fact.ns)
        else:
            self.all += news
        return news


def _split(data: bytes, node: int, life: int) -> tuple[list[Fact], int]:
    facts: list[Fact] = []
    place = 0
    while place + 4 <= len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            break  # a frame under way, or one that SIGKILL has cut
        ns, wall_ms, mono_ms, kind, *values = msgspec.msgpack.decode(data[place + 4 : end])
        facts.append(Fact(ns, wall_ms, mono_ms, node, life, kind, tuple(values)))
        place = end
    return facts, place
