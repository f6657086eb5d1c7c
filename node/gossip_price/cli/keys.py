"""`gossip-price keys`: make a node's two keys, and show what the public may know of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from gossip_price.adapters.keyfiles import (
    IDENTITY_KEY,
    SIGNING_KEY,
    KeyFileError,
    make_keys,
    read_member,
)
from gossip_price.cli.parsers import add_command

_REMEDY: Final = "give --folder the folder of a node's keys, or make some: gossip-price keys new"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    commands = parser.add_subparsers(dest="keys_command", required=True, metavar="new|show")
    for name, summary in (
        ("new", f"make {SIGNING_KEY} and {IDENTITY_KEY}; never over files that are there"),
        ("show", "print the address and the peer id of a node's keys"),
    ):
        command = add_command(commands, name, summary)
        command.add_argument(
            "--folder", type=Path, default=Path(), metavar="DIR", help="default: this folder"
        )
        command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Do it; exit code 0, or 2 where a key file cannot be used or made."""
    try:
        action = make_keys if options.keys_command == "new" else read_member
        member = action(options.folder)
    except KeyFileError as error:
        remedy = "" if error.remedy else f"; remedy: {_REMEDY}"
        print(f"gossip-price keys: {error}{remedy}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"address": member.address, "peerId": member.peer_id}))
    else:
        print(f"address  {member.address}\npeer id  {member.peer_id}")
    return 0
