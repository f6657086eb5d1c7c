"""The tables of docs/metrics.md, made from what nodes and the operator declare and alert on.

`python scripts/metrics_page.py docs/metrics.md` writes them anew; a test holds the page to them.
A script of its own, because neither package may know the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gossip_price.adapters.metrics import BOOTSTRAP_FAMILIES, NODE_FAMILIES
from gossip_price.settings_page import fill_page, format_table
from gossip_price_operator.metrics import FAMILIES as OPERATOR_FAMILIES
from gossip_price_operator.resources.alerts import NETWORK_ALERTS, OPERATOR_ALERTS
from gossip_price_operator.rule_files import PLAIN


def format_metrics(families: Iterable[Any]) -> str:
    """Return the table of these metrics, by name."""
    rows = [
        (
            f"`{family.name}`",
            family.type,
            ", ".join(f"`{label}`" for label in family.labels),
            family.question,
        )
        for family in sorted(families, key=lambda family: family.name)
    ]
    return format_table(("name", "type", "labels", "what it answers"), rows)


def format_bootstrap() -> str:
    """Return the names that a bootstrap exports, in a sentence."""
    return ", ".join(f"`{family.name}`" for family in BOOTSTRAP_FAMILIES)


def format_alerts() -> str:
    """Return the table of all alerts, each with its page."""
    rows = []
    for alert in (*NETWORK_ALERTS, *OPERATOR_ALERTS):
        rule = alert.render(PLAIN)
        rows.append(
            (
                f"[{alert.name}](runbooks/{alert.name}.md)",
                alert.severity,
                rule["for"],
                alert.meaning,
            )
        )
    return format_table(("alert", "severity", "for", "when"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "node": lambda: format_metrics(NODE_FAMILIES),
    "bootstrap": format_bootstrap,
    "operator": lambda: format_metrics(OPERATOR_FAMILIES),
    "alerts": format_alerts,
}

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(fill_page(page.read_text(), TABLES))
