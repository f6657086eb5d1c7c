"""What this run calls what it makes on the engine; under another name another run can go on."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "E2E_NAME"
NAME: Final = os.environ.get(VARIABLE) or "gossip-price-e2e"


@contextmanager
def reserve(what: str) -> Iterator[None]:
    """Be the only run on this machine that makes `what` under the name; a second one is refused."""
    with (Path(tempfile.gettempdir()) / f"{NAME}-{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AssertionError(
                f"another run has the {what} of {NAME}: wait for its end, or call this one"
                f" something else, as in {VARIABLE}={NAME}-2 make e2e"
            ) from None
        yield
