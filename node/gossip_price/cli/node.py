"""`gossip-price node`: run one node (or the bootstrap), configured by GP_* variables."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from gossip_price.adapters.keyfiles import KeyFileError
from gossip_price.network.document import DocumentError
from gossip_price.ports import ForeignJournalError, JournalError
from gossip_price.settings import SettingsError, load_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--config", type=Path, help="a YAML file of settings; GP_* variables win over it"
    )


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM; exit code 0, 1 after a failure, 2 for what no retry will mend."""
    try:
        settings = load_settings(os.environ, options.config)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Imported late: bad settings are told before libp2p's two seconds.
    from gossip_price.adapters.logs import configure_logs  # noqa: PLC0415  # see above
    from gossip_price.app import run_node  # noqa: PLC0415  # see above

    configure_logs(settings.log_format.value, settings.log_level.value, sys.stdout)
    try:
        return asyncio.run(run_node(settings))
    except (SettingsError, DocumentError, KeyFileError, ForeignJournalError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (JournalError, OSError) as error:
        # A lock that is still held, a port not yet free: the next start may succeed.
        sys.stderr.write(f"{error}\n")
        return 1
