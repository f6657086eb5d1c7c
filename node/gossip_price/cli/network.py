"""`gossip-price network new`: keys for N members and the first document of their network."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gossip_price.adapters.keyfiles import KeyFileError
from gossip_price.cli.keys import make_keys
from gossip_price.network.document import DocumentError, Mode, NetworkFile, Peers
from gossip_price.network.problems import Problem
from gossip_price.network.spec import SpecError, load_yaml, make_document, parse_network
from gossip_price.network.spec_parts import NetworkSpec

NETWORK_FILE: Final = "network.json"
MODES: Final = {"rounds": Mode.ROUNDS.value, "every-node": Mode.EVERY_NODE.value}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    commands = parser.add_subparsers(dest="network_command", required=True, metavar="new")
    summary = f"make keys for each member and {NETWORK_FILE} with a first document"
    command = commands.add_parser("new", help=summary, description=summary.capitalize() + ".")
    command.add_argument("--folder", type=Path, required=True, metavar="DIR", help="where to")
    command.add_argument("-f", "--file", type=Path, help="a PriceNetwork; options win over it")
    command.add_argument("--members", type=int, metavar="N", help="default: 4")
    add_spec_options(command)


def add_spec_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say the same as a PriceNetwork's fields."""
    parser.add_argument("--pair", action="append", help="such as ETH-USD; may stand again")
    parser.add_argument("--interval", help="length of a round, such as 15s or 10m")
    parser.add_argument("--settle", help="such as 30s")
    parser.add_argument("--mode", choices=sorted(MODES), help="default: rounds")
    parser.add_argument("--minimum-signers", type=int, metavar="K", help="default: the least safe")


def run(options: argparse.Namespace) -> int:
    """Do it; exit code 0, or 2 with every problem on stderr."""
    try:
        spec = read_spec(
            options.file,
            {
                "pairs": options.pair,
                "price.interval": options.interval,
                "consensus.settle": options.settle,
                "consensus.mode": MODES.get(options.mode),
                "consensus.minimumSigners": options.minimum_signers,
                "nodes.count": options.members,
            },
        )
        network = make_network(spec, options.folder, start=int(time.time()))
    except (SpecError, DocumentError, KeyFileError) as error:
        for line in str(error).splitlines():
            print(f"gossip-price network: {line}", file=sys.stderr)
        return 2
    document = network.epochs[0]
    print(f"network  {document.network_id}\nepoch    0x{document.hash.hex()}")
    print(f"signers  {document.minimum_signers} of {len(document.members)}")
    print(f"file     {options.folder / NETWORK_FILE}")
    return 0


def read_spec(path: Path | None, overrides: Mapping[str, Any]) -> NetworkSpec:
    """Return the spec of a PriceNetwork file, or of none, with `overrides` laid over it.

    Overrides are by path (`price.interval`); None means not given. Raises SpecError.
    """
    raw: dict[str, Any] = {
        "apiVersion": "gossip-price.io/v1alpha1",
        "kind": "PriceNetwork",
        "metadata": {"name": "local"},
        "spec": {},
    }
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise SpecError([Problem(str(path), reason, "a readable YAML file")]) from error
        raw = load_yaml(text)
    for dotted, value in overrides.items():
        if value is not None:
            _lay_over(raw, ["spec", *dotted.split(".")], value)
    return parse_network(raw).spec


def _lay_over(raw: dict[str, Any], path: list[str], value: object) -> None:
    *parents, last = path
    for step in parents:
        if raw.get(step) is None:
            raw[step] = {}
        if not isinstance(raw[step], dict):
            return  # the file is wrong here, and the reader will say so
        raw = raw[step]
    raw[last] = value


def make_network(
    spec: NetworkSpec, folder: Path, *, start: int, peers: Peers | None = None
) -> NetworkFile:
    """Make keys in `folder`/0 … `folder`/N-1 and `folder`/network.json with a first document.

    N is the spec's `nodes.count`; `start` (Unix seconds) is rounded down to a round. `peers`
    default to those of the spec. Raises KeyFileError where something of it is there already,
    and then writes nothing over it.
    """
    if spec.document_ref is not None:
        raise SpecError([Problem("spec.documentRef", None, "nothing, where a document is made")])
    path = folder / NETWORK_FILE
    if path.exists():
        raise KeyFileError(f"{path} is there already; remedy: choose another folder with --folder")
    members = [make_keys(folder / str(number)) for number in range(spec.nodes.count)]
    network = NetworkFile(
        epochs=(make_document(spec, members, network_id=secrets.token_bytes(32), start=start),),
        peers=peers or make_peers(spec),
    )
    write_network(path, network)
    return network


def make_peers(spec: NetworkSpec) -> Peers:
    """Return the peers that the spec names."""
    peers = spec.access.peers
    return Peers(bootstrap=peers.bootstrap, admitted=peers.admitted, listeners=peers.listeners)


def write_network(path: Path, network: NetworkFile) -> None:
    """Replace a network file, whole or not at all: nodes watch it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(network.encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_network(path: Path) -> NetworkFile:
    """Read a network file. Raises DocumentError, or OSError where it cannot be read."""
    return NetworkFile.parse(path.read_bytes())
