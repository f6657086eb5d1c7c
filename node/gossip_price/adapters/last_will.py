"""Stop the embedded Postgres when the process that started it is gone without having done so.

Run by path: `python -I -S last_will.py PIDFILE`, with a pipe as stdin whose other end only the
owner holds. The end of that pipe is the owner's end, whatever ended it. Then the server named
in PIDFILE (its first line; the second is its data folder) gets SIGINT, Postgres' fast shutdown.

A pipe and not the tether's death mark, because Postgres deserves a checkpoint and not SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def stop_server(pidfile: Path) -> None:
    """Ask the server of `pidfile` to stop, if it runs; the number may be anybody's by now."""
    try:
        pid, folder, *_ = pidfile.read_text().splitlines()
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes()
        if os.fsencode(folder) in command:
            os.kill(int(pid), signal.SIGINT)
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.stdin.buffer.read()
    stop_server(Path(sys.argv[1]))
