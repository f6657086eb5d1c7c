"""What was injected and what held, for the table at the end of `make faults`."""

from __future__ import annotations

from typing import NamedTuple

from faults.history import Verdict


class Line(NamedTuple):
    """One fault."""

    fault: str
    injected: str
    held: str


LINES: list[Line] = []


def report(fault: str, injected: str, verdict: Verdict) -> None:
    """Fail with all that the checkers found, or add a line to the table."""
    assert not verdict.violations, f"{fault}: the checkers found\n{verdict}"
    assert verdict.rows, f"{fault}: nothing was ever stored, which proves nothing"
    LINES.append(
        Line(
            fault,
            injected,
            f"all checkers: {verdict.rows} rows, {verdict.signed} votes, {verdict.messages}"
            f" messages, {verdict.statements} statements, {verdict.lives} lives",
        )
    )
