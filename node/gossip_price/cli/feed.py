"""`gossip-price feed`: serve simulated prices in Coinbase's format until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from gossip_price.adapters.feed import (
    DEFAULT_STARTS,
    DEFAULT_VOLATILITY,
    FeedFormatError,
    Walk,
    make_feed_server,
    parse_start,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same prices (%(default)s)"
    )
    parser.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="ETH-USD=3000",
        help="a currency and the price that it wanders around; may be repeated",
    )
    parser.add_argument(
        "--volatility",
        type=float,
        default=DEFAULT_VOLATILITY,
        metavar="SHARE",
        help="typical relative change in an hour, 0 to 1 (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Serve; exit code 0 after SIGTERM or Ctrl-C, 1 if the port is taken, 2 for a bad option."""
    try:
        starts = dict(DEFAULT_STARTS)
        starts.update(parse_start(text) for text in options.start)
        walk = Walk(starts, seed=options.seed, volatility=options.volatility)
        return asyncio.run(_serve(f"{options.host}:{options.port}", walk))
    except FeedFormatError as error:
        print(f"gossip-price feed: --start: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"gossip-price feed: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gossip-price feed: {error.strerror}", file=sys.stderr)
        return 1


async def _serve(address: str, walk: Walk) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    server = make_feed_server(address, walk)
    await server.start()
    # The first line is the URL and nothing else: `up` reads it.
    print(server.url, flush=True)
    await stop.wait()
    await server.aclose()
    return 0
