from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gossip_price_operator.settings import DESCRIPTIONS, SettingsError, load_settings


def test_an_image_is_all_that_must_be_given() -> None:
    settings = load_settings({"GPO_NODE_IMAGE": "node:1", "HOME": "/"})
    assert settings.defaults.node_image == "node:1"
    assert settings.namespaces == ()
    assert (settings.http_host, settings.http_port) == ("0.0.0.0", 8080)  # noqa: S104 - the default


def test_everything_can_be_said() -> None:
    settings = load_settings(
        {
            "GPO_NODE_IMAGE": "node:1",
            "GPO_NAMESPACES": "a, b",
            "GPO_RESYNC": "2m",
            "GPO_POD_IP": "fd00::1",
            "GPO_HTTPADDR": "[::1]:9",
            "GPO_LEASE_DURATION": "20",
        }
    )
    assert settings.namespaces == ("a", "b")
    assert settings.pace.settled_s == 120
    assert settings.ip_family == "ip6"
    assert (settings.http_host, settings.http_port) == ("::1", 9)
    assert settings.lease_duration_s == 20


def test_every_mistake_is_told_at_once_by_its_name() -> None:
    wrong = {
        "GPO_IMAGE": "node:1",
        "GPO_RESYNC": "often",
        "GPO_IMAGE_PULL_POLICY": "Sometimes",
        "GPO_HTTPADDR": "8080",
        "GPO_LOGLEVEL": "loud",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong)
    told = {problem.path for problem in caught.value.problems}
    assert told == {*wrong, "GPO_NODE_IMAGE"}


def test_the_documentation_lists_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    for name, description in DESCRIPTIONS.items():
        assert f"| `{name}` | {description} |" in page


def test_without_a_cluster_it_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gossip_price_operator"],
        env={"GPO_NODE_IMAGE": "node:1", "KUBECONFIG": str(tmp_path / "none")},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no cluster to speak to" in done.stderr
    assert "KUBECONFIG" in done.stderr
    assert "Traceback" not in done.stderr
