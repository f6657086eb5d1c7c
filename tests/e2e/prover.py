"""Somebody outside the cluster who trusts a network document and proves every row by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.database import Database
from e2e.programs import attempt, find_own


def prove(database: Database, document: str, folder: Path) -> dict[str, Any]:
    """Run `gossip-price verify` with the `document` (JSON text) as what is trusted.

    Returns what it says; fails where a row is not proven.
    """
    file = folder / "network.json"
    file.write_text(document)
    done = attempt(
        find_own("gossip-price"),
        *("verify", "--database", database.get_url(), "--network", str(file), "--json"),
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, f"verify: exit code {done.returncode}: {said}"
    assert said["proven"] is True
    assert said["relativeTo"] == "trust"
    return said
