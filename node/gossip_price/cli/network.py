"""`gossip-price network`: `new` makes keys and a first document, `next` the epochs after it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from gossip_price.adapters.datafolder import NETWORK_FILE, DataFolder, DataFolderError, LocalNetwork
from gossip_price.cli import epoch
from gossip_price.cli.parsers import add_command
from gossip_price.cli.wishes import Wishes, add_wishes, read_resource
from gossip_price.network.document import DocumentError
from gossip_price.network.durations import format_duration
from gossip_price.network.multiaddrs import check_dial
from gossip_price.network.spec import SpecError, make_resource
from gossip_price.network.spec_parts import NetworkSpec


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    commands = parser.add_subparsers(dest="network_command", required=True, metavar="new|next")
    summary = f"make keys for each member and {NETWORK_FILE} with a first document"
    command = add_command(commands, "new", summary)
    command.add_argument(
        "--folder", type=Path, required=True, metavar="DIR", help="where to; `up --data` runs it"
    )
    command.add_argument(
        "--bootstrap",
        type=_read_address,
        metavar="ADDRESS",
        help="where others find the bootstrap node, such as /dns4/bootstrap/tcp/8000",
    )
    command.add_argument(
        "--keep", action="store_true", help="a network that is there already stays as it is"
    )
    add_wishes(command, interval=format_duration(NetworkSpec().price.interval))
    summary = "append the next epoch to a network file, on the safe way to what is asked for"
    epoch.configure(add_command(commands, "next", summary))


def run(options: argparse.Namespace) -> int:
    """Do it; exit code 0, or 2 with every problem on stderr (`next`: 1 for not yet)."""
    if options.network_command == "next":
        return epoch.run(options)
    try:
        resource = make_resource({}) if options.file is None else read_resource(options.file)
        wanted = Wishes.of(options).lay_over(resource)
        network = make_network(
            options.folder, wanted.spec, bootstrap=options.bootstrap, keep=options.keep
        )
    except (SpecError, DocumentError, DataFolderError) as error:
        for line in str(error).splitlines():
            print(f"gossip-price network: {line}", file=sys.stderr)
        return 2
    document = network.file.epochs[-1]
    print(f"network    {document.network_id}\nepoch      0x{document.hash.hex()}")
    print(f"signers    {document.minimum_signers} of {len(document.members)}")
    print(f"bootstrap  {network.bootstrap_peer_id}")
    print(f"file       {options.folder / NETWORK_FILE}")
    return 0


def make_network(
    path: Path, spec: NetworkSpec, *, bootstrap: str | None = None, keep: bool = False
) -> LocalNetwork:
    """Make a network that starts now in the folder `path`, and let go of the folder.

    With `keep`, one that is there is returned and nothing is made. Raises SpecError,
    DocumentError and DataFolderError.
    """
    folder = DataFolder.open(path)
    try:
        held = folder.load() if keep else None
        return held or folder.create(spec, start=int(time.time()), bootstrap=bootstrap)
    finally:
        folder.close()


def _read_address(text: str) -> str:
    try:
        return check_dial(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: {error}") from error
