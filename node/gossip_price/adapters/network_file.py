"""The network file, `GP_NETWORK_FILE`: read, and replaced whole. Decides nothing about networks."""

from __future__ import annotations

import os
from pathlib import Path

from gossip_price.adapters.owned import sync_folder
from gossip_price.network.document import NetworkFile


def read_network(path: Path) -> NetworkFile:
    """Read a network file. Raises DocumentError, or OSError where it cannot be read."""
    return NetworkFile.parse(path.read_bytes())


def write_network(path: Path, network: NetworkFile) -> None:
    """Replace a network file, whole or not at all, synced: nodes watch it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(network.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
