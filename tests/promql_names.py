"""Which metrics and labels a PromQL expression names, by a parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import promql_parser


@dataclass
class Named:
    """Metric names with the labels that their selectors match, and labels that are grouped by."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def find_names(expr: str) -> Named:
    """Parse an expression. Raises ValueError for one that is none."""
    named = Named()

    def visit(node: Any) -> None:
        match type(node).__name__:
            case "VectorSelector":
                assert node.name, f"a selector without a name in {expr}"
                matched = {matcher.name for matcher in node.matchers.matchers}
                named.metrics.setdefault(node.name, set()).update(matched)
            case "AggregateExpr" if node.modifier is not None:
                named.grouped.update(node.modifier.labels)
            case "BinaryExpr" if node.modifier is not None:
                named.grouped.update(node.modifier.group_labels or ())
                matching = node.modifier.matching
                named.grouped.update(matching.labels if matching is not None else ())

    promql_parser.walk(promql_parser.parse(expr), visit)
    return named
