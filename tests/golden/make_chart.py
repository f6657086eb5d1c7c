"""Write the chart's golden manifests anew, after a change that is meant. Needs helm."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helm import CASES, GOLDEN, render_golden

for case in CASES:
    (GOLDEN / f"{case}.yaml").write_text(render_golden(case))
