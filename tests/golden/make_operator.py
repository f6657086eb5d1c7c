"""Write the golden manifests anew, after a change that is meant."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rendered import CASES, format_manifests, render_all

for name, inputs in CASES.items():
    file = Path(__file__).parent / "operator" / f"{name}.yaml"
    file.write_text(format_manifests(render_all(inputs)))
