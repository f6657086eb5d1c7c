"""What a PriceNetwork becomes, in files that a review can read. Whether a change restarts pods that
an earlier version made is told by test_upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gossip_price_operator import names
from gossip_price_operator.resources.metadata import compute_hash
from rendered import CASES, format_manifests, render_all

FOLDER = Path(__file__).parent / "operator"


@pytest.mark.parametrize("name", CASES)
def test_a_network_becomes_what_it_became_before(name: str) -> None:
    golden = list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))
    assert list(yaml.safe_load_all(format_manifests(render_all(CASES[name])))) == golden


@pytest.mark.parametrize("name", CASES)
def test_every_workloads_hash_is_that_of_its_template(name: str) -> None:
    hashed = 0
    for manifest in yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()):
        annotations = manifest["metadata"].get("annotations", {})
        if names.TEMPLATE_HASH in annotations:
            hashed += 1
            assert annotations[names.TEMPLATE_HASH] == compute_hash(manifest["spec"]["template"])
    assert hashed >= CASES[name].spec.nodes.count + 1
