"""Seeds that are worth running each time: once each that failed, with what it taught."""

from __future__ import annotations

from typing import Final

#: Every `make test` runs these; a mixed handful, so that no day is without a bad one.
ALWAYS: Final = range(20)

#: A seed that once failed stays: its number, and what it taught.
FAILED: Final[dict[int, str]] = {
    1244: "a signer's own signature, echoed later, is no new signer (the checker believed it was)",
    1247: "the same, echoed by a liar that replays",
}

#: Where the search for each deliberate bug begins (`gossip-price simulate --mutants` tells all).
FIRST_SEED_OF_MUTANT: Final[dict[str, int]] = {
    "count messages instead of members": 11,
    "never audit": 3,
    "read while a write is under way": 5,
    "write as a herd after an outage": 6,
    "let a poison row hold its batch up": 10,
    "settle by the wall clock": 9,
    "take high-s signatures": 20,
    "report a sync that was none": 6,
    "forget the highest round on restart": 852,
    "sign rounds that are closed": 43,
    "drop the signers of closed rounds": 3,
    "sign in an epoch not in force": 1,
    "sign by rules that one does not know": 11,
}
