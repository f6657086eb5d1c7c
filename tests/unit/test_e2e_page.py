"""docs/e2e.md says what each test of the cluster shows; those tests are there, and no others."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "e2e.md").read_text()


def test_the_page_names_every_test_of_the_cluster_by_its_row() -> None:
    files = [path for path in (TESTS / "e2e").glob("test_*.py") if path.stem != "test_compose"]
    there = {
        name
        for path in files
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M)
    }
    rows = re.findall(r"^\| (\d+) \| `(test_\w+)` \|", PAGE, re.MULTILINE)
    assert {name for _, name in rows} == there
    assert {int(number) for number, _ in rows} == set(range(1, 16))
