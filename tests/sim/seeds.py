"""Seeds that are worth running each time: once each that failed, with what it taught."""

from __future__ import annotations

from typing import Final

#: Every `make test` runs these; a mixed handful, so that no day is without a bad one.
ALWAYS: Final = range(24)

#: A seed that once failed stays: its number, and what it taught.
FAILED: Final[dict[int, str]] = {}

#: Where the search for each deliberate bug begins (`gossip-price simulate --mutants` tells all).
FIRST_SEED_OF_MUTANT: Final[dict[str, int]] = {}
