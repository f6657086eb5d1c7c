"""Tie a process to the life of the one that started it, then become the real command.

Run by path, before anything else is imported: `python -I -S tether.py PARENT COMMAND…`, where
PARENT is the process id of whoever starts it. Linux then sends SIGKILL when that process ends,
however it ends; the mark survives the exec. Set here and not in a `preexec_fn`, because code
between fork and exec may deadlock where the parent has threads.

Knows nothing of what it runs. Elsewhere than on Linux it only becomes the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

#: From linux/prctl.h.
_PR_SET_PDEATHSIG: Final = 1


def tether(parent: int, command: list[str]) -> None:
    """Replace this process by `command`, unless `parent` is gone. Raises OSError."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the mark was set: then somebody else has adopted us.
    if os.getppid() != parent:
        raise SystemExit(1)
    # Python ignores SIGPIPE, and an ignored signal stays ignored over an exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 # no shell is what we want


if __name__ == "__main__":
    try:
        tether(int(sys.argv[1]), sys.argv[2:])
    except OSError as trouble:
        sys.exit(f"{sys.argv[2]}: {trouble.strerror}")
