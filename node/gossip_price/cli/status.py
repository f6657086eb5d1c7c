"""`gossip-price status`: how a network is, as one of its nodes sees it, for people and scripts."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from rich.console import Console

from gossip_price.adapters.overview import UnreachableError, ask, find_reasons, show

HEALTHY: Final = 0
DEGRADED: Final = 1
UNREACHABLE: Final = 2

#: Where `up` serves its first gossip node; its bootstrap, at 8080, hears no prices.
DEFAULT_URL: Final = "http://127.0.0.1:8081"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--url",
        default=DEFAULT_URL,
        help="a node's HTTP address (default: %(default)s, the first node of `gossip-price up`)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = (
        "Exit code 0: healthy; 1: degraded, with the reasons printed (docs/status.md has all); "
        "2: the node cannot be reached."
    )


def run(options: argparse.Namespace) -> int:
    """Ask, judge and show; return 0 healthy, 1 degraded, 2 unreachable."""
    try:
        overview = ask(options.url)
    except UnreachableError as error:
        if options.json:
            print(json.dumps({"health": "unreachable", "reasons": [str(error)]}))
        else:
            print(f"gossip-price status: {error}", file=sys.stderr)
        return UNREACHABLE
    reasons = find_reasons(overview)
    if options.json:
        health = "degraded" if reasons else "healthy"
        print(json.dumps({"health": health, "reasons": reasons, **overview.raw}))
    else:
        show(overview, reasons, Console(highlight=False))
    return DEGRADED if reasons else HEALTHY
