"""`gossip-price keys`: make a node's two keys, and show what the public may know of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gossip_price.adapters.keyfiles import (
    IDENTITY_KEY,
    SIGNING_KEY,
    KeyFileError,
    read_key,
    write_key,
)
from gossip_price.network.document import Member
from gossip_price.network.keys import describe, generate_secret


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    commands = parser.add_subparsers(dest="keys_command", required=True, metavar="new|show")
    for name, summary in (
        ("new", f"make {SIGNING_KEY} and {IDENTITY_KEY}; never over files that are there"),
        ("show", "print the address and the peer id of a node's keys"),
    ):
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
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
        print(f"gossip-price keys: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"address": member.address, "peerId": member.peer_id}))
    else:
        print(f"address  {member.address}\npeer id  {member.peer_id}")
    return 0


def make_keys(folder: Path) -> Member:
    """Make both keys in `folder`, which is made if it is not there. Raises KeyFileError.

    Where either file is there already, nothing is written.
    """
    for name in (SIGNING_KEY, IDENTITY_KEY):
        if (folder / name).is_symlink() or (folder / name).exists():
            raise KeyFileError(
                f"key file {folder / name} is there already, and keys are never overwritten;"
                " remedy: choose another folder with --folder"
            )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"folder {folder} cannot be made: {error.strerror}") from error
    for name in (SIGNING_KEY, IDENTITY_KEY):
        write_key(folder / name, generate_secret())
    return read_member(folder)


def read_member(folder: Path) -> Member:
    """Return what the public may know of the two keys in `folder`. Raises KeyFileError."""
    described = describe(read_key(folder / SIGNING_KEY), read_key(folder / IDENTITY_KEY))
    return Member(described["address"], described["peerId"])
