"""What a process owns on disk: a lock that tells its owner, and names that survive a power cut.

The system lets go of a lock however its holder ends. Knows nothing of what is locked.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


class OwnedError(Exception):
    """Another process holds the lock; its text is that process's id, or `unknown`."""


def take_lock(path: Path) -> IO[str]:
    """Return the open lock file, held until it is closed. Raises OwnedError and OSError."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).strip() or "unknown"
        file.close()
        raise OwnedError(owner) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
