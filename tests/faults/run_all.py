"""Run the files of this folder side by side, for they mostly wait, and print one table at the end.

`python tests/faults/run_all.py [pytest's options]`: three at a time, the longest first; the output
of each when it ends. Exit code 0 when all passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "node")]

from faults.fault_table import LINES_FILE, format_table, read_lines

FOLDER: Final = Path(__file__).parent
#: Two cores are enough for three: a network of four nodes takes a tenth of one.
AT_ONCE: Final = 3
#: What takes longest, so that it begins first; any other file follows.
_LONGEST: Final = (
    "test_stop", "test_kills_whole", "test_postgres", "test_network", "test_kills", "test_clock",
)  # fmt: skip
_NOTHING_CHOSEN: Final = 5


def run_file(path: Path, lines: Path, options: list[str]) -> tuple[int, str, float]:
    """Run one file's tests; return the exit code, what was said, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(path), "-q", *options],
        cwd=FOLDER.parents[1],
        env={**os.environ, LINES_FILE: str(lines)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, time.monotonic() - began


def main() -> int:
    """Run all files; return the exit code."""
    rank = {name: place for place, name in enumerate(_LONGEST)}
    files = sorted(
        FOLDER.glob("test_*.py"), key=lambda path: (rank.get(path.stem, len(rank)), path.stem)
    )
    codes = []
    with tempfile.TemporaryDirectory(prefix="gp-faults-") as folder:
        lines = Path(folder) / "lines"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = {pool.submit(run_file, path, lines, sys.argv[1:]): path for path in files}
            for future in as_completed(futures):
                code, said, seconds = future.result()
                codes.append(code)
                if code != _NOTHING_CHOSEN:
                    print(f"== {futures[future].name}: {seconds:.0f} s\n{said}", flush=True)
        print(format_table(read_lines(lines)))
    if all(code == _NOTHING_CHOSEN for code in codes):
        print("no test was chosen")
        return _NOTHING_CHOSEN
    return int(any(code not in (0, _NOTHING_CHOSEN) for code in codes))


if __name__ == "__main__":
    sys.exit(main())
