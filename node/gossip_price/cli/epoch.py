"""`gossip-price network next`: append the next epoch to a network file, on the safe way there."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gossip_price.adapters.network_file import read_network, write_network
from gossip_price.network.document import (
    Document,
    DocumentError,
    Member,
    NetworkFile,
    compute_fallback_delay,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.durations import format_duration, parse_duration
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import KeyFormatError, format_address, parse_address, parse_peer_id
from gossip_price.network.planner import LEAD_S, Plan, plan_next
from gossip_price.network.spec import compute_skew


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the network file; all members get the new one")
    add("--add", action="append", default=[], metavar="ADDRESS,PEERID",
        help="a member to be, as `keys show` prints it; may stand again")  # fmt: skip
    add("--remove", action="append", default=[], metavar="ADDRESS", help="may stand again")
    add("--interval", metavar="TIME", help="length of a round, such as 15s or 10m")
    add("--minimum-signers", type=int, metavar="K", help="(the smallest safe number)")
    add("--protocol", type=int, metavar="VERSION", help="activate a protocol version")
    add("--lead", default=f"{LEAD_S}s", metavar="TIME",
        help="it starts this much later at least, so that all have it by then (3m)")  # fmt: skip
    add("--proven", action="store_true",
        help="a round was proven in the newest epoch: without, only the way is shown")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Do it; exit code 0, 1 where there is no next epoch yet, 2 for what cannot be."""
    try:
        network = read_network(options.file)
        newest = EpochChain(network.epochs).newest
        plan = plan_next(
            newest,
            _make_wanted(newest, options),
            is_proven=options.proven,
            now_s=int(time.time()),
            lead_s=_read_duration("--lead", options.lead),
        )
        if plan.document is not None:
            epochs = EpochChain((*network.epochs, plan.document)).documents
            write_network(options.file, NetworkFile(epochs, network.peers))
    except (DocumentError, OSError) as error:
        print(f"gossip-price network: {error}", file=sys.stderr)
        return 2
    _print_plan(newest, plan)
    return 0 if plan.document is not None or not plan.steps else 1


def _print_plan(newest: Document, plan: Plan) -> None:
    print(f"now        {_describe(newest)}")
    for step in plan.steps:
        print(f"then       {_describe(step)}")
    if plan.document is None:
        print(f"not yet    {plan.reason}" if plan.steps else f"nothing    {plan.reason}")
        return
    document = plan.document
    print(f"appended   epoch {document.epoch}, 0x{document.hash.hex()}, start {document.start}")
    if len(plan.steps) > 1:
        print(f"remaining  {len(plan.steps) - 1}: say the same again once a round is proven in it")


def _describe(document: Document) -> str:
    signers = f"{document.minimum_signers} of {len(document.members)} sign"
    return f"{signers}, a round each {format_duration(document.interval)}"


def _make_wanted(newest: Document, options: argparse.Namespace) -> Document:
    """Return what is asked for, all else as it is. Raises DocumentError."""
    members = {member.address: member for member in newest.members}
    for text in options.remove:
        members.pop(_read_address("--remove", text), None)
    for text in options.add:
        address, _, peer_id = text.partition(",")
        member = Member(_read_address("--add", address), _read_peer_id(peer_id))
        members[member.address] = member
    roster = _sort(list(members.values()))
    faulty = compute_faulty_default(len(roster))
    fields: dict[str, object] = {
        "members": roster,
        "faulty": faulty,
        "minimum_signers": options.minimum_signers
        or compute_minimum_signers(newest.mode, len(roster), faulty),
    }
    if options.protocol is not None:
        fields["protocol"] = options.protocol
    if options.interval is not None:
        interval = _read_duration("--interval", options.interval)
        fields |= {
            "interval": interval,
            "start": newest.start - newest.start % interval,
            "skew": compute_skew(interval),
            "fallback_delay": compute_fallback_delay(interval),
        }
    return msgspec.structs.replace(newest, **fields)


def _sort(members: Sequence[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda member: parse_address(member.address)))


def _read_address(option: str, text: str) -> str:
    try:
        return format_address(parse_address(text.strip()))
    except KeyFormatError as error:
        raise DocumentError(f"{option}: {error}") from error


def _read_peer_id(text: str) -> str:
    try:
        return parse_peer_id(text.strip())
    except KeyFormatError as error:
        raise DocumentError(f"--add: {error}; write ADDRESS,PEERID") from error


def _read_duration(option: str, text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise DocumentError(f"{option}: {text!r} given, allowed: {error}") from error
    if not isinstance(seconds, int) or seconds < 1:
        raise DocumentError(f"{option}: {text!r} given, allowed: 1s and more")
    return seconds
