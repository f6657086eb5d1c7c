#!/usr/bin/env python3
"""The tables of the chart's page, made from values.yaml and from the operator's rights.

`scripts/chart_page.py charts/gossip-price/README.md` writes them anew; a test holds the page
to them. Everything outside the markers is the page's own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from gossip_price_operator.rights import CLUSTER, NETWORKS, OWN

VALUES = Path(__file__).parents[1] / "charts" / "gossip-price" / "values.yaml"
WHERE = {
    "where networks are": NETWORKS,
    "in the operator's namespace": OWN,
    "in the cluster, where all namespaces are watched": CLUSTER,
}


def list_values(text: str) -> Iterator[tuple[str, Any, str]]:
    """Yield path, default and description of each value that `# -- …` describes, in order."""
    path: list[tuple[int, str]] = []
    told: str | None = None
    values = yaml.safe_load(text)
    for line in text.splitlines():
        if found := re.match(r" *# -- (.*)", line):
            told = found.group(1)
        elif found := re.match(r"( *)([A-Za-z]+):", line):
            indent = len(found.group(1))
            path = [(depth, name) for depth, name in path if depth < indent]
            path.append((indent, found.group(2)))
            if told is not None:
                default = values
                for _, name in path:
                    default = default[name]
                yield ".".join(name for _, name in path), default, told
                told = None


def format_values() -> str:
    """Return the table of values."""
    rows = (
        (f"`{path}`", f"`{json.dumps(default)}`", told)
        for path, default, told in list_values(VALUES.read_text(encoding="utf-8"))
    )
    return format_table(("value", "default", "what it is for"), rows)


def format_rights() -> str:
    """Return the table of rights."""
    rows = (
        (_join(f"`{name}`" for name in right.resources), _join(right.verbs), where, right.why)
        for where, rights in WHERE.items()
        for right in rights
    )
    return format_table(("kinds", "verbs", "where", "why"), rows)


def _join(words: Iterable[str]) -> str:
    return ", ".join(words)


def format_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def rewrite(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, table in (("values", format_values()), ("rights", format_rights())):
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise SystemExit(f"the page needs one pair of markers for {name}")
        head, _, rest = page.partition(begin)
        page = head + begin + table + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(rewrite(target.read_text(encoding="utf-8")), encoding="utf-8")
