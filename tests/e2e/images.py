"""The images under test, built from the Dockerfiles, and a second version of each.

A second version is the first with another label: another image, the same program. Empty
PYTHON_IMAGE and POSTGRES_IMAGE mean the usual public ones.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.programs import ROOT, attempt, run
from e2e.suite_name import NAME

#: No registry: what is built here is loaded into the cluster.
REPOSITORY = f"{NAME}.test"


@dataclass(frozen=True)
class Image:
    """An image by repository and tag."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


NODE = Image(f"{REPOSITORY}/node", "e2e-1")
NODE_NEXT = Image(f"{REPOSITORY}/node", "e2e-2")
OPERATOR = Image(f"{REPOSITORY}/operator", "e2e-1")
OPERATOR_NEXT = Image(f"{REPOSITORY}/operator", "e2e-2")


def get_postgres() -> str:
    """Return the image of a database: what POSTGRES_IMAGE names, or the usual one."""
    return os.environ.get("POSTGRES_IMAGE") or "postgres:17"


@contextmanager
def building() -> Iterator[None]:
    """Build alone: whoever comes second finds every layer made."""
    file = ROOT / "build" / "e2e" / "images.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build() -> list[str]:
    """Build all images; return those that are to be loaded into a cluster."""
    with building():
        return _build()


def _build() -> list[str]:
    base = os.environ.get("PYTHON_IMAGE")
    arguments = ("--build-arg", f"PYTHON_IMAGE={base}") if base else ()
    for image, file in ((NODE, "Dockerfile.node"), (OPERATOR, "Dockerfile.operator")):
        run("docker", "build", "-q", "-f", file, *arguments, "-t", str(image), ".", deadline_s=900)
    for image, first in ((NODE_NEXT, NODE), (OPERATOR_NEXT, OPERATOR)):
        second = f'FROM {first}\nLABEL org.opencontainers.image.version="{image.tag}"\n'
        run("docker", "build", "-q", "-t", str(image), "-", stdin=second)
    images = [str(image) for image in (NODE, NODE_NEXT, OPERATOR, OPERATOR_NEXT)]
    # One that is not here is pulled by whoever needs it.
    is_local = attempt("docker", "image", "inspect", get_postgres()).returncode == 0
    return [*images, get_postgres()] if is_local else images
