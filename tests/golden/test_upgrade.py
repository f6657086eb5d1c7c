"""An operator's upgrade restarts no pod whose spec did not change.

What earlier versions rendered is kept in files; today's code renders the same specs, in a process
in which it bears a later version's number, and must come to the same pod templates.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from golden import upgrade
from golden.upgrade import describe_workloads, list_kept, read_kept
from gossip_price_operator.inputs import Defaults

LATER = "99.0.0"
ROOT = Path(__file__).parents[2]
SOURCES = ("node", "operator", "tests")
REMEDY = """
Networks in the field have this spec, and none asked for a restart. What to do:
- render a spec that leaves the new thing out as before, and the new thing only where a spec has it;
- if the restart cannot be helped, announce it in CHANGELOG.md under "Changed" (it goes node by
  node, as any rollout), and remove tests/golden/upgrade/{version}: nobody can upgrade from it
  without the restart. Then keep the version that brings it:
  PYTHONPATH=node:operator:tests python tests/golden/upgrade.py
"""


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a later version makes of what the earlier ones were given, by version and case."""
    folder = tmp_path_factory.mktemp("later")
    metadata = folder / f"gossip_price-{LATER}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: gossip-price\nVersion: {LATER}\n")
    path = os.pathsep.join(str(part) for part in (folder, *(ROOT / name for name in SOURCES)))
    done = subprocess.run(
        [sys.executable, upgrade.__file__, "--render"],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    answer = json.loads(done.stdout)
    assert answer["version"] == LATER
    workloads: Mapping[str, Any] = answer["workloads"]
    return workloads


@pytest.mark.parametrize(("version", "case"), list_kept())
def test_an_upgrade_restarts_no_pod_whose_spec_did_not_change(
    upgraded: Mapping[str, Any], version: str, case: str
) -> None:
    before, after = read_kept(version, case)[1], upgraded[f"{version}/{case}"]
    restarted = "\n".join(tell_differences(before, after))
    assert not restarted, (
        f"an upgrade from {version} would touch what runs in the case {case}:\n{restarted}\n"
        + REMEDY.format(version=version)
    )


def tell_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what an upgrade would do to workloads, a line or a diff for each; nothing if nothing."""
    told = [f"{name} would be removed" for name in before if name not in after]
    told += [f"{name} would be made" for name in after if name not in before]
    for name in before:
        was, is_ = before[name], after.get(name)
        if not was or is_ is None:
            continue
        if was["immutableHash"] != is_["immutableHash"]:
            told.append(f"{name}: a selector or another immutable field would change")
        if was["templateHash"] != is_["templateHash"]:
            told.append(f"{name} would be restarted, {was['templateHash']} → {is_['templateHash']}")
            if "template" in was:
                told += diff(was["template"], is_["template"])
    return told


def diff(before: object, after: object) -> list[str]:
    was, is_ = (yaml.safe_dump(template).splitlines() for template in (before, after))
    lines = difflib.unified_diff(was, is_, "as it was rendered", "as it is now", n=2, lineterm="")
    return [f"    {line}" for line in lines]


def test_every_case_of_some_version_is_kept() -> None:
    kept = list_kept()
    assert {case for _, case in kept} >= {"network", "everything", "external-open", "cloudnativepg"}


@pytest.mark.parametrize(("version", "case"), list_kept())
def test_another_default_image_touches_only_what_names_none(version: str, case: str) -> None:
    """The one thing that pods know of an operator's version, where their spec leaves it out."""
    given, before = read_kept(version, case)
    image = "gossip-price/node:of-the-later-version"
    later = Defaults(node_image=image, postgres_image=given.defaults.postgres_image)
    after = describe_workloads(replace(given, defaults=later))
    names_image = {
        "node": "image" in given.spec.get("nodes", {}),
        "bootstrap": "image" in given.spec.get("bootstrap", {}),
        "postgres": True,
    }
    seen = set()
    for name, was in before.items():
        if was:
            template = after[name]["template"]
            component = template["metadata"]["labels"]["app.kubernetes.io/component"]
            is_same = was["templateHash"] == after[name]["templateHash"]
            assert is_same == names_image[component], name
            assert (template["spec"]["containers"][0]["image"] == image) != is_same
            seen.add(component)
    assert seen >= {"node", "bootstrap"}
