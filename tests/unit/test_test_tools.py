"""scripts/check-test-tools brings promtool without installing anything, or says how to get it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-test-tools"
#: What the script uses of any system.
USUAL = ("sh", "dirname", "mktemp", "rm", "mkdir", "cp", "chmod")

APT = """#!{sh}
echo "apt-get $*" >>"{root}/calls"
case "$*" in *download*) [ -e "{root}/offline" ] && exit 100; : >prometheus_2.42_amd64.deb ;; esac
"""

DPKG = """#!{sh}
mkdir -p "$3/usr/bin"; : >"$3/usr/bin/promtool"; : >"$3/usr/bin/prometheus"
chmod +x "$3"/usr/bin/*
"""


class Machine:
    """A checkout on a machine of which we decide what it has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir()
        (root / "scripts").mkdir()
        (root / ".venv").mkdir()
        shutil.copy(SCRIPT, root / "scripts")
        for name in USUAL:
            (root / "bin" / name).symlink_to(shutil.which(name) or name)
        self.has("id", "#!{sh}\necho 1000\n")

    def has(self, name: str, text: str) -> None:
        tool = self.root / "bin" / name
        tool.unlink(missing_ok=True)
        tool.write_text(text.format(sh=shutil.which("sh"), root=self.root))
        tool.chmod(0o755)

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("sh") or "sh", self.root / "scripts" / "check-test-tools"],
            env={"PATH": str(self.root / "bin")},
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


def test_where_promtool_is_there_nothing_is_fetched(machine: Machine) -> None:
    machine.has("promtool", "#!{sh}\n")
    machine.has("apt-get", APT)
    done = machine.check()
    assert (done.returncode, done.stderr, machine.calls) == (0, "", [])


def test_on_debian_the_package_is_unpacked_and_not_installed(machine: Machine) -> None:
    machine.has("apt-get", APT)
    machine.has("dpkg-deb", DPKG)
    assert machine.check().returncode == 0
    assert machine.calls == ["apt-get -qq -o APT::Sandbox::User=root download prometheus"]
    assert (machine.root / ".venv" / "prometheus" / "promtool").exists()
    assert machine.check().returncode == 0
    assert len(machine.calls) == 1, "once is enough"


def test_root_brings_the_list_of_packages_up_to_date_first(machine: Machine) -> None:
    machine.has("apt-get", APT)
    machine.has("dpkg-deb", DPKG)
    machine.has("id", "#!{sh}\necho 0\n")
    assert machine.check().returncode == 0
    assert machine.calls[0] == "apt-get -qq update"


@pytest.mark.parametrize("has_apt", [True, False])
def test_where_it_cannot_be_fetched_the_command_is_said(machine: Machine, has_apt: bool) -> None:
    if has_apt:
        machine.has("apt-get", APT)
        machine.has("dpkg-deb", DPKG)
        (machine.root / "offline").touch()
    done = machine.check()
    assert done.returncode == 1
    assert "    sudo apt-get update && sudo apt-get install -y prometheus\n" in done.stderr
