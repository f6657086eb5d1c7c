"""`gossip-price up`: a whole network on this machine, each node a process, until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from gossip_price.adapters.postgres.connection import normalize_url
from gossip_price.cli.launch import COMMAND, INTERVAL_S, Launch, LaunchError, Order
from gossip_price.cli.prices import FEEDS, make_feed_source
from gossip_price.cli.wishes import Wishes, add_wishes, read_resource
from gossip_price.network.durations import ALLOWED, parse_duration
from gossip_price.network.problems import ProblemsError

EXIT_CONFIGURATION: Final = 2
EXIT_INTERRUPTED: Final = 130
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add_wishes(parser, interval=f"{INTERVAL_S}s")
    add(
        "--feed",
        type=_parse_feed,
        default="auto",
        metavar="auto|live|simulated|URL",
        help="where prices come from; auto: live, or simulated without internet (auto)",
    )
    add("--data", type=Path, default=Path("data"), metavar="DIR", help="kept between runs (data)")
    add("--database", type=_parse_database, metavar="URL", help="your own Postgres (embedded)")
    add(
        "--port",
        type=_parse_port,
        default=8080,
        help="HTTP of the bootstrap node; node k has this plus k (8080)",
    )
    add("--for", dest="duration", type=_parse_seconds, metavar="TIME", help="end after this time")
    add("--log-format", choices=("text", "json"), default="text", help="(text)")


def run(options: argparse.Namespace) -> int:
    """Run the network.

    Exit code 0 after Ctrl-C, SIGTERM or the time of --for; 1 for trouble of this machine, 2 for
    options or a configuration that cannot be right, 130 after a second Ctrl-C.
    """
    try:
        order = make_order(options)
        return asyncio.run(run_until_told(order))
    except (LaunchError, ProblemsError) as error:
        print(f"gossip-price up: {error}", file=sys.stderr)
        return error.code if isinstance(error, LaunchError) else EXIT_CONFIGURATION


def make_order(options: argparse.Namespace) -> Order:
    """Return what is asked for. Raises LaunchError and ProblemsError for what cannot be."""
    wishes = Wishes.of(options)
    wishes.read()
    return Order(
        resource=read_resource(options.file) if options.file is not None else None,
        wishes=wishes,
        feed=options.feed,
        data=options.data,
        database=options.database,
        port=options.port,
        duration_s=options.duration,
        json=options.log_format == "json",
    )


async def run_until_told(order: Order, command: Sequence[str] = COMMAND) -> int:
    """Run in a task of its own, which the first signal ends in order and the second at once.

    `command` starts the processes of feed and nodes. Returns the exit code; raises LaunchError.
    """
    launch = Launch(order, command)
    work = asyncio.create_task(launch.run(), name="up")
    told = 0

    def stop() -> None:
        nonlocal told
        told += 1
        if told == 1:
            launch.say_stopping()
            work.cancel()
        else:
            launch.kill()

    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not told:
            raise
    return EXIT_INTERRUPTED if told > 1 else 0


def _option(parse: Callable[[str], Any], allowed: str) -> Callable[[str], Any]:
    """Return an argparse type that says what was given and what is allowed."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            detail = str(error) if not allowed else f"{text!r} given, allowed: {allowed}"
            raise argparse.ArgumentTypeError(detail) from None

    return read


def _read_whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _read_duration(text: str) -> int:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError
    return seconds


def _read_feed(text: str) -> str:
    if text not in FEEDS:
        make_feed_source(text)
    return text


def _read_database(text: str) -> str:
    normalize_url(text)
    return text


_parse_port = _option(_read_whole(1, 65_000), "a port from 1 to 65000")
_parse_seconds = _option(_read_duration, f"{ALLOWED}, at least 1s")
_parse_feed = _option(_read_feed, "auto, live, simulated, or an http(s) URL")
_parse_database = _option(_read_database, "")
