"""Seeds that are worth running each time: once each that failed, with what it taught."""

from __future__ import annotations

from typing import Final

#: Every `make test` runs these; a mixed handful, so that no day is without a bad one.
ALWAYS: Final = range(20)

#: A seed that once failed stays: what `gossip-price simulate` was given, and what it taught.
FAILED: Final[dict[str, str]] = {
    "--seed 1244": (
        "a signer's own signature, echoed later, is no new signer (the checker believed it was)"
    ),
    "--seed 1247": "the same, echoed by a liar that replays",
    "--seed 5011": (
        "who does not know an epoch's rules need not know its reports (the checker demanded it)"
    ),
    "--seed 6374": (
        "what had settled in an earlier life may be written at once (the checker forbade it)"
    ),
    "--seed 7083": (
        "a row deleted hours later is found within a day, not an hour (the checker hurried)"
    ),
    "--seed 31797": (
        "what a liar lets strangers alone prove, no member can store (the checker demanded it)"
    ),
    "--seed 50871": (
        "who never hears that a false row stands there tries again (the checker saw a herd)"
    ),
    "--seed 600523": "what did not show is not looked for while a batch is on its way (it was)",
    "--seed 316739": (
        "whom a slow database kept busy writes what is overdue (the checker saw a herd)"
    ),
    "--seed 404512": (
        "what liars sign and no member takes in proves nothing (the checker believed it did)"
    ),
    "--seed 7408": (
        "who signs after the silence is late and unsettles nothing (the checker began anew)"
    ),
    "--seed 4 --members 4 --interval 1800 --days 7.1 --faults kill,clock --cheap": (
        "what is older than seven days each forgets at its own hour (the checker compared it)"
    ),
    "--seed 103307": "who was removed and hears nobody writes after the members (they were a herd)",
    "--seed 104510": "nobody takes in a latecomer's stale message (the checker thought it did)",
}

#: Where the search for each deliberate bug begins (`gossip-price simulate --mutants` tells all).
FIRST_SEED_OF_MUTANT: Final[dict[str, int]] = {
    "sign any price": 2,
    "never take over": 2,
    "keep what is proven in memory only": 2,
    "never audit": 3,
    "read while a write is under way": 29,
    "write as a herd after an outage": 6,
    "let a poison row hold its batch up": 11,
    "settle by the wall clock": 6,
    "drop the union": 1,
    "drop the signers of closed rounds": 1,
    "reject what a slow clock sends": 2,
    "count messages instead of members": 3,
    "sign in an epoch not in force": 1,
    "call proven what its proposer has not signed": 4,
    "sign by rules that one does not know": 11,
    "take high-s signatures": 4,
    "report a sync that was none": 6,
    "forget the highest round on restart": 60,
    "bind a round by its own mode alone": 1,
    "sign what met a full disk, however late": 11,
    "correct what has not settled": 10,
}
