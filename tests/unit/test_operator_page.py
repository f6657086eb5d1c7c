"""docs/operator.md says which test proves what; those tests are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "operator.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    paths = list(TESTS.rglob("test_*.py"))
    text = "".join(path.read_text() for path in paths)
    defined = {*re.findall(r"def (test_\w+)\(", text), *(path.name for path in paths)}
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", PAGE))
    assert len(named) > 50
    assert named - defined == set()


def test_each_of_the_fifteen_behaviours_has_its_row() -> None:
    rows = re.findall(r"^\| \*\*(\d+)\. [^|]+\*\* \| [^|]*`test_\w+", PAGE, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, 16))
