#!/usr/bin/env python3
"""Print what pyproject.toml requires, with the extras that are named, a line each.

Beside the project itself, so that an image can have its dependencies in a layer of their own,
which is made anew when they change and not whenever the project does.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> int:
    """Print the requirements; exit code 2 for an extra that is not there."""
    text = Path("pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    known = project["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            sys.stderr.write(f"no extra {extra}; there are: {', '.join(known)}\n")
            return 2
    for line in [*project["dependencies"], *(line for extra in extras for line in known[extra])]:
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
