"""Write the chart's golden manifests anew, after a change that is meant. Needs helm."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helm import render

for values in sorted((Path(__file__).parent / "chart").glob("*.values.yaml")):
    # The kind is long, and compared elsewhere.
    text = render("--values", str(values), "--set", "crds.install=false")
    values.with_name(values.name.replace(".values", "")).write_text(text)
