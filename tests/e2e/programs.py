"""The programs that the suite needs, and running them: a failed command fails the test, whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: What makes each program available on a machine that has it not.
REMEDIES: Final = {
    "docker": "install Docker Engine (https://docs.docker.com/engine/install) and start it",
    "kind": "install kind (https://kind.sigs.k8s.io/docs/user/quick-start/#installation)",
    "kubectl": "install kubectl (https://kubernetes.io/docs/tasks/tools)",
    "helm": "install Helm (https://helm.sh/docs/intro/install)",
}
#: Nothing that is run here takes longer on a machine that works.
DEADLINE_S: Final = 600.0


def find_missing() -> list[str]:
    """Return what the suite lacks on this machine, each with how to get it."""
    missing = [f"{name}: {how}" for name, how in REMEDIES.items() if shutil.which(name) is None]
    if shutil.which("docker") is not None:
        asked = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if asked.returncode != 0:
            missing.append(f"a Docker engine that answers ({asked.stderr.strip()}): start it")
    return missing


def run(
    *command: str,
    stdin: str | None = None,
    deadline_s: float = DEADLINE_S,
    environ: dict[str, str] | None = None,
) -> str:
    """Run a command to its end and return what it printed; one that fails fails the test."""
    done = attempt(*command, stdin=stdin, deadline_s=deadline_s, environ=environ)
    assert done.returncode == 0, (
        f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def attempt(
    *command: str,
    stdin: str | None = None,
    deadline_s: float = DEADLINE_S,
    environ: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    try:
        return subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            env=None if environ is None else {**os.environ, **environ},
            cwd=ROOT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{' '.join(command)}: not done within {deadline_s} s") from error


def find_own(name: str) -> str:
    """Return the path of a program of ours, in the environment that the tests run in."""
    return str(Path(sys.executable).with_name(name))
