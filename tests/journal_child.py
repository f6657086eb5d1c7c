"""A process that writes to a journal until it is killed, and says what it was promised.

`python journal_child.py PATH FIRST`: from number FIRST on, each batch holds a vote, a proven
entry and the round; one line with the number follows once `write` has returned.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from gossip_price.core.events import RoundRecord
from journal_cases import make_proven, make_vote, open_journal


def main() -> None:
    journal = open_journal(Path(sys.argv[1]))
    for number in itertools.count(int(sys.argv[2])):
        journal.write([make_vote(number, number), make_proven(number, number), RoundRecord(number)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
