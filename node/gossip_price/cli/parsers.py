"""What the commands' parsers have in common: whose usage is shown, and how a summary is said."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser that refuses what it does not know itself.

    argparse hands that up to the topmost parser, which would show the usage of all commands and
    not that of the one at hand. Parsers under this one are of this class too.
    """

    def parse_known_args(  # type: ignore[override] # argparse's overloads say no more than this
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse; nothing is left over, or the process ends with code 2 (from argparse)."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


def add_command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command to what `add_subparsers` returned; its description is the summary."""
    # Not str.capitalize: that makes all further letters small, those of names as well.
    description = f"{summary[:1].upper()}{summary[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description
    )
    return parser
