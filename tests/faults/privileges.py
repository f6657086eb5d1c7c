"""What some faults need of the machine: said loudly where it is missing, with the remedy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

_LIBFAKETIME: Final = "faketime/libfaketimeMT.so.1"


class MissingError(AssertionError):
    """This machine cannot make the fault."""


def require_root(purpose: str) -> None:
    """Raise MissingError unless we are root."""
    if os.geteuid() != 0:
        raise MissingError(f"root is needed to {purpose}: sudo -E make faults")


def require_programs(**packages: str) -> None:
    """Raise MissingError for the first program (name=Debian package) that is not there."""
    for program, package in packages.items():
        if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
            raise MissingError(_say(program, package))


def find_libfaketime() -> Path:
    """Return the library that changes a process's clock. Raises MissingError."""
    for folder in (*Path("/usr/lib").glob("*-linux-gnu*"), Path("/usr/lib"), Path("/usr/lib64")):
        if (folder / _LIBFAKETIME).exists():
            return folder / _LIBFAKETIME
    raise MissingError(_say("libfaketime", "faketime"))


def _say(what: str, package: str) -> str:
    return (
        f"{what} is not installed: sudo apt-get install -y {package}"
        " (scripts/check-fault-tools installs all that the fault tests need)"
    )
