"""Figures that the suite tells at its end, for whoever runs it."""

from __future__ import annotations

from typing import Final

LINES: Final[list[str]] = []


def report(what: str, figure: str) -> None:
    """Take down a figure; it stands in the summary."""
    LINES.append(f"{what}: {figure}")
