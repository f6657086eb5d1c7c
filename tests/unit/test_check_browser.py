"""scripts/check-browser finds a Chromium, or says how to get one, on a PATH of fakes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-browser"


def check(folder: Path, **tools: str) -> subprocess.CompletedProcess[str]:
    """Run it where there are only these tools, each a line of shell."""
    sh = shutil.which("sh") or "sh"
    folder.mkdir(exist_ok=True)
    for name, line in tools.items():
        tool = folder / name.replace("_", "-")
        tool.write_text(f"#!{sh}\n{line}\n")
        tool.chmod(0o755)
    return subprocess.run(
        [sh, SCRIPT],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("name", ["chromium", "chromium_browser", "google_chrome"])
def test_a_browser_that_is_there_is_found(tmp_path: Path, name: str) -> None:
    done = check(tmp_path, **{name: "exit 1", "id": "echo 0", "apt_get": "exit 1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/{name.replace('_', '-')}\n"


def test_root_on_debian_gets_it_installed(tmp_path: Path) -> None:
    cp = shutil.which("cp")
    install = f'case "$*" in *install*chromium*) {cp} "$0" {tmp_path}/chromium ;; esac'
    done = check(tmp_path, id="echo 0", apt_get=install)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/chromium\n"
    assert "Installing what is missing: apt-get install chromium" in done.stderr


def test_an_installation_that_did_not_help_is_an_error(tmp_path: Path) -> None:
    done = check(tmp_path, id="echo 0", apt_get="exit 0")
    assert done.returncode == 1
    assert "Still missing after the installation: chromium" in done.stderr


@pytest.mark.parametrize(
    ("tools", "remedy"),
    [
        ({"id": "echo 1000", "apt_get": "exit 1"}, "sudo apt-get update && sudo apt-get install"),
        ({"id": "echo 0", "dnf": "exit 1"}, "sudo dnf install -y chromium"),
        ({"id": "echo 0"}, "Chromium or Chrome, as chromium or google-chrome on PATH"),
    ],
    ids=["debian", "fedora", "elsewhere"],
)
def test_others_are_told_how_to_get_it(tmp_path: Path, tools: dict[str, str], remedy: str) -> None:
    done = check(tmp_path, **tools)
    assert (done.returncode, done.stdout) == (1, "")
    assert remedy in done.stderr
