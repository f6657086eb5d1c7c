"""`gossip-price node` as it is, with an eye on its ports: the real process of the fault tests.

`python -m faults.watched_node FOLDER NODE LIFE [MARK CROSSING]`, configured by GP_* as any node:
facts go to FOLDER, and the life ends by SIGKILL at that crossing of MARK.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from faults.process_life import redirect_output, tie_to_parent
from faults.recorder import Recorder
from faults.watched import (
    Eye,
    WatchedJournal,
    WatchedSending,
    WatchedSigner,
    WatchedStore,
    WatchedTurns,
    watch,
)
from gossip_price import app
from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.libp2p import LibP2pTransport
from gossip_price.cli import node


class WatchedTransport(WatchedSending, LibP2pTransport):
    """The real libp2p."""


def run(folder: Path, index: int, life: int, mark: str | None, crossing: int) -> int:
    """Be the node until told otherwise; return its exit code."""
    eye = Eye(Recorder(folder, index, life), SystemClock(), mark, crossing)
    watch(eye, WatchedTransport)
    # The composition root takes its parts by these names.
    for name, watched in {
        "Turns": WatchedTurns,
        "SqliteJournal": WatchedJournal,
        "LocalSigner": WatchedSigner,
        "PostgresStore": WatchedStore,
        "LibP2pTransport": WatchedTransport,
    }.items():
        assert hasattr(app, name)
        setattr(app, name, watched)
    eye.tell("began")
    return node.run(argparse.Namespace(config=None))


def run_forked(
    environment: dict[str, str],
    log: str,
    arguments: tuple[Path, int, int, str | None, int],
) -> None:
    """Be the node in a process that was forked from one that has imported all this."""
    tie_to_parent()
    os.environ.clear()
    os.environ.update(environment)
    redirect_output(log)
    sys.exit(run(*arguments))


def main() -> int:
    """Read the arguments and run."""
    folder, index, life, *death = sys.argv[1:]
    mark, crossing = (death[0], int(death[1])) if death else (None, 1)
    return run(Path(folder), int(index), int(life), mark, crossing)


if __name__ == "__main__":
    sys.exit(main())
