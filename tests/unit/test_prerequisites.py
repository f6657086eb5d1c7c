"""scripts/check-prerequisites names exactly what is missing, on a PATH that holds only fakes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-prerequisites"

PYTHON = """#!{sh}
case "$2" in
    *version_info*exit*|*exit*version_info*) exit {unsuitable} ;;
    *sys.executable*) echo "$0" ;;
    *get_path*) echo "{root}/include" ;;
    *version_info*) echo 3.12 ;;
    *ensurepip*) [ -e "{root}/venv" ] ;;
    *) exit 99 ;;
esac
"""

GCC = """#!{sh}
read -r first; read -r second
case "$second" in *gmp.h*) [ -e "{root}/gmp" ] ;; esac
"""

APT = """#!{sh}
echo "apt-get $*" >>"{root}/calls"
case "$*" in *install*) : >"{root}/gmp"; : >"{root}/venv"; : >"{root}/include/Python.h" ;; esac
"""


@dataclass
class Machine:
    """A machine of which we decide what it has."""

    root: Path

    def has(self, *parts: str, uid: int = 1000, unsuitable: int = 0) -> None:
        sh = shutil.which("sh")
        texts = {"gcc": GCC, "apt-get": APT, "python3": PYTHON}
        (self.root / "bin").mkdir()
        (self.root / "include").mkdir()
        for name in {"python3", "id", *parts} & {"gcc", "apt-get", "python3", "dnf", "id"}:
            text = texts.get(name, f"#!{{sh}}\necho {uid}\n")
            tool = self.root / "bin" / name
            tool.write_text(text.format(sh=sh, root=self.root, unsuitable=unsuitable))
            tool.chmod(0o755)
        for name in {"gmp", "venv", "include/Python.h"} & set(parts):
            (self.root / name).touch()

    def check(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("sh") or "sh", SCRIPT],
            env={"PATH": str(self.root / "bin"), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_complete_machine_gets_the_path_of_its_python_and_nothing_else(machine: Machine) -> None:
    machine.has("gcc", "apt-get", "gmp", "venv", "include/Python.h", uid=0)
    done = machine.check()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{machine.root}/bin/python3\n"
    assert machine.calls == []


def test_root_on_debian_gets_what_is_missing_installed(machine: Machine) -> None:
    machine.has("gcc", "apt-get", "venv", uid=0)
    done = machine.check()
    assert done.returncode == 0, done.stderr
    assert machine.calls == [
        "apt-get -qq update",
        "apt-get -qq -y --no-install-recommends install libgmp-dev python3.12-dev",
    ]
    assert done.stdout == f"{machine.root}/bin/python3\n"


def test_others_on_debian_get_the_exact_command_and_nothing_is_installed(machine: Machine) -> None:
    machine.has("apt-get", "include/Python.h")
    done = machine.check()
    assert done.returncode == 1
    command = (
        "sudo apt-get update && sudo apt-get install -y gcc libc6-dev libgmp-dev python3.12-venv\n"
    )
    assert done.stderr.endswith(command)
    assert done.stdout == ""
    assert machine.calls == []


def test_an_installation_that_did_not_help_is_an_error(machine: Machine) -> None:
    machine.has("apt-get", "venv", "include/Python.h", uid=0)
    done = machine.check()
    assert done.returncode == 1
    assert "Still missing after the installation: gcc libc6-dev libgmp-dev" in done.stderr


def test_fedora_gets_its_own_command(machine: Machine) -> None:
    machine.has("gcc", "dnf", "venv", "include/Python.h", uid=0)
    done = machine.check()
    assert done.returncode == 1
    assert "sudo dnf install -y gcc gmp-devel python3.12-devel" in done.stderr


def test_a_python_that_libp2p_does_not_run_on_is_refused_by_name(machine: Machine) -> None:
    machine.has("gcc", "apt-get", uid=0, unsuitable=1)
    assert "No Python from 3.11 to 3.13 on PATH" in machine.check().stderr
    done = machine.check(PYTHON=f"{machine.root}/bin/python3")
    assert done.returncode == 1
    assert f"PYTHON={machine.root}/bin/python3: not a Python from 3.11 to 3.13" in done.stderr
