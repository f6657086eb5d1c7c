"""`up` with processes that only pretend to be nodes and feed: for what is about processes alone.

Run with the options of `up`. A puppet prints its role and process id as a log line, and leaves
at SIGTERM; with PUPPET_REFUSES in its environment a node refuses its configuration instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from types import FrameType


def play(role: str) -> int:
    """Be a feed or a node."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    if role == "feed":
        print("http://127.0.0.1:9/", flush=True)
    elif "PUPPET_REFUSES" in os.environ:
        print("GP_SOURCES: 'x' given, allowed: something else", flush=True)
        return 2
    given = {name: value for name, value in os.environ.items() if name.startswith("GP_")}
    line = {"level": "warning", "event": "puppet", "role": role, "pid": os.getpid(), "given": given}
    print(json.dumps(line), flush=True)
    while True:
        signal.pause()


def main() -> int:
    """Play a role, or run `up` over such players."""
    if sys.argv[1] in ("feed", "node"):
        return play(sys.argv[1])
    from gossip_price.cli import launch, up  # noqa: PLC0415 # puppets need none of it

    parser = argparse.ArgumentParser()
    up.configure(parser)
    order = up.make_order(parser.parse_args())
    try:
        return asyncio.run(up.run_until_told(order, (sys.executable, __file__)))
    except launch.LaunchError as error:
        print(error, file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main())
