"""The alerts as plain files, for a Prometheus without the Prometheus operator.

`python -m gossip_price_operator.rule_files deploy` writes them; a test holds them to the code.
They tell networks apart by `job`: one scrape job for each network, its nodes and no other's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from gossip_price_operator.inputs import RUNBOOKS
from gossip_price_operator.resources.alerts import (
    NETWORK_ALERTS,
    OPERATOR_ALERTS,
    Alert,
    Scope,
    render_alerts,
)

PLAIN: Final = Scope(selector="", by="job", node="instance", runbooks=RUNBOOKS)
#: File name → name of its group, and its alerts.
_FILES: Final[Mapping[str, tuple[str, tuple[Alert, ...]]]] = {
    "rules-network.yaml": ("gossip-price", NETWORK_ALERTS),
    "rules-operator.yaml": ("gossip-price-operator", OPERATOR_ALERTS),
}
_HEAD: Final = (
    "# Made by `make manifests` from operator/gossip_price_operator/resources/alerts.py.\n"
)


def format_files() -> dict[str, str]:
    """Return each file's text by its name."""
    return {
        name: _HEAD
        + yaml.safe_dump(
            {"groups": [{"name": group, "rules": render_alerts(alerts, PLAIN)}]},
            sort_keys=False,
            allow_unicode=True,
            width=100,
        )
        for name, (group, alerts) in _FILES.items()
    }


if __name__ == "__main__":
    for file, text in format_files().items():
        (Path(sys.argv[1]) / file).write_text(text)
