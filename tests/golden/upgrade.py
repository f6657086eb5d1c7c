"""Pod templates as an operator version rendered them, kept so that a later one can be compared.

`upgrade/<version>/<case>.yaml` holds what was given (the spec, the operator's settings, what the
cluster could do) and what became of it: each workload's hashes, and the text of the first of its
kind, for a person who wants to see what has changed. A version that is out never changes.

    PYTHONPATH=node:operator:tests python tests/golden/upgrade.py    # write today's version down
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.resources.metadata import compute_hash, get_template_hash
from rendered import GIVEN, Given, render_all

FOLDER: Final = Path(__file__).parent / "upgrade"
#: Of a workload's spec, what no later version can change (replicas and strategies it can).
_IMMUTABLE: Final = ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")


def describe_version() -> str:
    """Return the version that the operator bears in this process."""
    return importlib.metadata.version("gossip-price")


def describe_workloads(given: Given) -> dict[str, dict[str, Any]]:
    """Return of every workload the hash of its template, that of what is immutable, its text.

    A Job is there by its name alone: another name would be another migration.
    """
    described: dict[str, dict[str, Any]] = {}
    for manifest in render_all(given.make_inputs()):
        if "template" not in manifest.get("spec", {}):
            continue
        told: dict[str, Any] = {}
        if manifest["kind"] != "Job":
            told = _describe(manifest)
        described[f"{manifest['kind']}/{manifest['metadata']['name']}"] = told
    return described


def _describe(manifest: Manifest) -> dict[str, Any]:
    spec = manifest["spec"]
    return {
        "templateHash": get_template_hash(manifest),
        "immutableHash": compute_hash({key: spec[key] for key in _IMMUTABLE if key in spec}),
        "template": spec["template"],
    }


def list_kept() -> list[tuple[str, str]]:
    """Return (version, case) of all that is kept."""
    return sorted((file.parent.name, file.stem) for file in FOLDER.glob("*/*.yaml"))


def read_kept(version: str, case: str) -> tuple[Given, Mapping[str, dict[str, Any]]]:
    """Return what an earlier version was given, and the workloads that it made of it."""
    kept = yaml.safe_load((FOLDER / version / f"{case}.yaml").read_text())
    return msgspec.convert(kept["given"], Given), kept["workloads"]


def format_kept(given: Given) -> str:
    """Return a kept file's text: of several nodes only the first one's template is shown."""
    workloads = describe_workloads(given)
    for name, told in workloads.items():
        labels = told.get("template", {}).get("metadata", {}).get("labels", {})
        if labels.get(names.NODE_LABEL, "0") != "0":
            workloads[name] = {key: told[key] for key in ("templateHash", "immutableHash")}
    kept = {"given": msgspec.to_builtins(given), "workloads": workloads}
    return yaml.safe_dump(kept, sort_keys=False, width=100, allow_unicode=True)


def render_kept() -> dict[str, Any]:
    """Return what the operator of this process makes of all that earlier versions were given."""
    return {
        "version": describe_version(),
        "workloads": {
            f"{version}/{case}": describe_workloads(read_kept(version, case)[0])
            for version, case in list_kept()
        },
    }


def _freeze() -> str:
    folder = FOLDER / describe_version()
    if folder.exists():
        return f"{folder.name} is kept already; if it was never released, remove {folder} first"
    folder.mkdir(parents=True)
    for name, given in GIVEN.items():
        (folder / f"{name}.yaml").write_text(format_kept(given))
    return f"wrote {folder}"


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(render_kept()) if '--render' in sys.argv else _freeze()}\n")
