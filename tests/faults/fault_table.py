"""What was injected and what held, for the table at the end of `make faults`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from faults.history import Verdict

#: The environment variable that names a file for the lines of all processes of a run.
LINES_FILE: Final = "FAULT_LINES_FILE"


class Line(NamedTuple):
    """One fault."""

    fault: str
    injected: str
    held: str
    checkers: str = ""


LINES: list[Line] = []


def report(fault: str, injected: str, verdict: Verdict) -> None:
    """Fail with all that the checkers found, or add a line to the table."""
    assert not verdict.violations, f"{fault}: the checkers found\n{verdict}"
    assert verdict.rows, f"{fault}: nothing was ever stored, which proves nothing"
    line = Line(
        fault,
        injected,
        f"{verdict.rows} rows, {verdict.signed} votes, {verdict.messages} messages,"
        f" {verdict.statements} statements, {verdict.lives} lives;"
        f" {verdict.liveness.promised} of {verdict.liveness.rounds} rounds promised",
        ", ".join(verdict.checkers),
    )
    path = os.environ.get(LINES_FILE)
    if path is None:
        LINES.append(line)
        return
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[Line]:
    """Return the lines that all processes have added."""
    if not path.exists():
        return []
    return sorted(Line(*json.loads(text)) for text in path.read_text().splitlines())


def format_table(lines: Sequence[Line]) -> str:
    """Return the table as text."""
    rows = (Line("fault", "injected", "what was judged, and held"), *lines)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    table = [f"{row.fault:<{widths[0]}}  {row.injected:<{widths[1]}}  {row.held}" for row in rows]
    judges = sorted({line.checkers for line in lines})
    return "\n".join((*table, *(f"judged by {names}" for names in judges)))
