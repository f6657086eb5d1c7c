"""Row 13: two pairs, each from two sources."""

from __future__ import annotations

from e2e.network import Network
from e2e.rounds import get_round
from e2e.waiting import eventually

PAIRS = {"ETH-USD", "BTC-USD"}


def test_two_pairs_from_two_sources_are_stored_round_by_round(two_pairs: Network) -> None:
    first = get_round()

    def find_whole_rounds() -> list[int]:
        prices = two_pairs.database.read()
        seen = {price.round for price in prices if price.round >= first}
        return [
            number
            for number in sorted(seen)
            if {price.pair for price in prices if price.round == number} == PAIRS
        ]

    eventually("three rounds with both pairs", lambda: len(find_whole_rounds()) >= 3)
    for price in two_pairs.database.read():
        assert price.sources == ("feed", "second-feed")
        assert len(price.signers) >= 3
