"""docs/operations.md marks every command with the test that runs it; those tests are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "operations.md").read_text()
MARK = re.compile(r"(?:Run by `test_\w+`|Not run by the suite)")


def list_unmarked(page: str) -> list[str]:
    """Return the blocks of commands that have no mark: before the next block, or, of the steps of a
    numbered list, before the next title."""
    unmarked = []
    for section in re.split(r"^#+ ", page, flags=re.MULTILINE):
        blocks = list(re.finditer(r"(?:^    .*\n)+", section, re.MULTILINE))
        for number, block in enumerate(blocks, 1):
            end = blocks[number].start() if number < len(blocks) else len(section)
            is_step = block.group().startswith("       ")
            if not MARK.search(section, block.end(), len(section) if is_step else end):
                unmarked.append(block.group())
    return unmarked


def test_every_test_that_the_page_names_is_there() -> None:
    files = [path.read_text() for path in TESTS.rglob("test_*.py")]
    defined = {name for text in files for name in re.findall(r"def (test_\w+)\(", text)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 10
    assert named - defined == set()


def test_every_command_is_marked_with_the_test_that_runs_it_or_as_not_run() -> None:
    assert list_unmarked(PAGE) == []


def test_a_command_without_a_mark_would_be_seen() -> None:
    unmarked, marked = "    kubectl delete pn\n", "    kubectl get pn\n\nRun by `test_a`.\n"
    assert list_unmarked(f"## A\n\n{marked}\n## B\n\n{marked}") == []
    assert list_unmarked(f"## A\n\n{unmarked}\n## B\n\n{marked}") == [unmarked]
    assert list_unmarked(f"## A\n\n{unmarked}\nand\n\n{marked}") == [unmarked]
