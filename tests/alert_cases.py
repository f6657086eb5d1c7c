"""When each alert fires and when it does not, as series of a network of four nodes.

A series is written as promtool reads it: `1+0x10` is a 1 each minute, eleven times. The labels of
nodes and networks are added by the test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: The epoch's terms, of every node, in every case.
TERMS: Final = {
    "interval_seconds": 300,
    "settle_cap_seconds": 90,
    "skew_seconds": 5,
    "members": 4,
    "minimum_signers": 3,
    "max_deviation_ratio": 0.01,
    "rounds_expected_since_timestamp_seconds": 0,
}
NODES: Final = ("a", "b", "c", "d")
X: Final = 'member="0xX"'


@dataclass(frozen=True)
class Case:
    """Series (name, node or "" for all of them, further labels) → values, looked at `at` minutes.

    `fires`: the labels, beside the network's, of each alert that fires then; none, if it does not.
    `terms` replaces some of the epoch's.
    """

    promise: str
    series: dict[tuple[str, str, str], str]
    at: int
    fires: tuple[dict[str, str], ...] = ()
    terms: dict[str, int] = field(default_factory=dict)
    #: Minutes between two values, and between two looks at the rules.
    step: int = 1


PAIR: Final = 'pair="ETH-USD"'
_STORED: Final = "stored_round_timestamp_seconds"
_MEMBER: Final = ({"member": "0xX"},)
_NETWORK: Final[tuple[dict[str, str], ...]] = ({},)

CASES: Final[dict[str, tuple[Case, ...]]] = {
    "GossipPriceNoPriceStored": (
        Case(
            "rounds of 5 minutes: fires 690 s after the newest stored round, and a minute",
            {(_STORED, "a", PAIR): "600+0x60", (_STORED, "b", PAIR): "300+0x60"},
            at=23,
            fires=({"pair": "ETH-USD"},),
        ),
        Case(
            "rounds of 5 minutes: one that came late is no reason",
            {(_STORED, "a", PAIR): "600+0x60"},
            at=21,
        ),
        Case(
            "rounds of an hour: not before two hours",
            {(_STORED, "a", PAIR): "600+0x200"},
            at=120,
            terms={"interval_seconds": 3600},
        ),
        Case(
            "rounds of an hour: after two hours, and the settle time",
            {(_STORED, "a", PAIR): "600+0x200"},
            at=134,
            fires=({"pair": "ETH-USD"},),
            terms={"interval_seconds": 3600},
        ),
        Case(
            "a new network has as long for its first price",
            {(_STORED, "", PAIR): "0+0x60"},
            at=19,
            terms={"rounds_expected_since_timestamp_seconds": 600},
        ),
        Case(
            "and no longer",
            {(_STORED, "", PAIR): "0+0x60"},
            at=23,
            fires=({"pair": "ETH-USD"},),
            terms={"rounds_expected_since_timestamp_seconds": 600},
        ),
        Case(
            "a node that has just started and knows of none does not hide it",
            {(_STORED, "a", PAIR): "600+0x60", (_STORED, "b", PAIR): "0+0x60"},
            at=23,
            fires=({"pair": "ETH-USD"},),
            terms={"rounds_expected_since_timestamp_seconds": 1_300},
        ),
    ),
    "GossipPriceBacklogOld": (
        Case(
            "one node has a row of eleven minutes",
            {("unstored_oldest_age_seconds", "a", ""): "660+60x10"},
            at=2,
            fires=_NETWORK,
        ),
        Case(
            "ten minutes and then it is stored",
            {("unstored_oldest_age_seconds", "a", ""): "540 600 660 0 0"},
            at=3,
        ),
    ),
    "GossipPriceDatabaseDown": (
        Case("no node reaches it", {("store_up", "", ""): "0+0x10"}, at=6, fires=_NETWORK),
        Case("one does", {("store_up", "a", ""): "0+0x10", ("store_up", "b", ""): "1+0x10"}, at=6),
        Case("it came back", {("store_up", "", ""): "0 0 0 0 1 1 1"}, at=6),
    ),
    "GossipPriceQuorumLost": (
        Case(
            "who sees most sees one too few",
            {("quorum_margin", "a", ""): "-1+0x10", ("quorum_margin", "b", ""): "-2+0x10"},
            at=3,
            fires=_NETWORK,
        ),
        Case(
            "one that is cut off sees nobody, and the others are enough",
            {("quorum_margin", "a", ""): "-2+0x10", ("quorum_margin", "b", ""): "0+0x10"},
            at=3,
        ),
    ),
    "GossipPriceQuorumWithoutSpare": (
        Case("3 of 4 are there", {("quorum_margin", "", ""): "0+0x10"}, at=6, fires=_NETWORK),
        Case("4 of 4 are there", {("quorum_margin", "", ""): "1+0x10"}, at=6),
        Case(
            "a network of 3 that must all sign has never a spare one",
            {("quorum_margin", "", ""): "0+0x10"},
            at=6,
            terms={"members": 3},
        ),
        Case("a node is restarted", {("quorum_margin", "", ""): "1 0 0 0 1 1 1"}, at=6),
    ),
    "GossipPriceMemberSilent": (
        Case("nobody hears it", {("member_present", "", X): "0+0x10"}, at=6, fires=_MEMBER),
        Case(
            "one hears it",
            {("member_present", "a", X): "0+0x10", ("member_present", "b", X): "1+0x10"},
            at=6,
        ),
    ),
    "GossipPriceMemberDeaf": (
        Case("it says so to most", {("member_deaf", "", X): "1+0x10"}, at=6, fires=_MEMBER),
        Case(
            "one of two sees it so",
            {("member_deaf", "a", X): "1+0x10", ("member_deaf", "b", X): "0+0x10"},
            at=6,
        ),
    ),
    "GossipPriceClockOff": (
        Case(
            "three seconds behind, where five are the skew",
            {("clock_offset_seconds", "a", ""): "-3+0x10"},
            at=6,
            fires=({"node": "a"},),
        ),
        Case("two seconds", {("clock_offset_seconds", "a", ""): "2+0x10"}, at=6),
        Case(
            "three seconds, where ten are the skew",
            {("clock_offset_seconds", "a", ""): "3+0x10"},
            at=6,
            terms={"skew_seconds": 10},
        ),
    ),
    "GossipPriceNodeNotReady": (
        Case(
            "its journal fails",
            {
                ("problem", "a", 'problem="journal"'): "1+0x10",
                ("problem", "a", 'problem="peers"'): "0+0x10",
            },
            at=6,
            fires=({"node": "a", "problem": "journal"},),
        ),
        Case("it started", {("problem", "a", 'problem="peers"'): "1 1 0 0 0 0 0"}, at=6),
    ),
    "GossipPriceNoObservation": (
        Case(
            "three rounds in a row",
            {("rounds_unobserved_in_a_row", "a", PAIR): "0 1 2 3"},
            at=3,
            fires=({"node": "a", "pair": "ETH-USD"},),
        ),
        Case("two", {("rounds_unobserved_in_a_row", "a", PAIR): "0 1 2 0"}, at=2),
    ),
    "GossipPriceProposerBias": (
        Case(
            "0.8 % above on the mean of a day",
            {
                ("proposer_bias_ratio_total", "a", X + ',side="above"'): "0+0.08x160",
                ("proposer_bias_ratio_total", "a", X + ',side="below"'): "0+0x160",
                ("proposer_prices_compared_total", "a", X): "0+10x160",
            },
            at=1_550,
            step=10,
            fires=_MEMBER,
        ),
        Case(
            "0.8 % now above, now below",
            {
                ("proposer_bias_ratio_total", "a", X + ',side="above"'): "0+0.08x160",
                ("proposer_bias_ratio_total", "a", X + ',side="below"'): "0+0.08x160",
                ("proposer_prices_compared_total", "a", X): "0+20x160",
            },
            at=1_550,
            step=10,
        ),
        Case(
            "once, and never more",
            {
                ("proposer_bias_ratio_total", "a", X + ',side="above"'): "0x10 0.008x150",
                ("proposer_bias_ratio_total", "a", X + ',side="below"'): "0+0x160",
                ("proposer_prices_compared_total", "a", X): "0x10 1x150",
            },
            at=1_000,
            step=10,
        ),
    ),
    "GossipPriceEquivocation": (
        Case(
            "the first time is enough",
            {("equivocations_total", "a", X): "0 0 0 1 1 1"},
            at=4,
            fires=_MEMBER,
        ),
        Case("never", {("equivocations_total", "", X): "0+0x10"}, at=6),
        Case("long ago", {("equivocations_total", "a", X): "0 1+0x100"}, at=80),
    ),
    "GossipPriceRowsQuarantined": (
        Case(
            "the first one is enough",
            {("rows_quarantined_total", "a", ""): "0 0 0 1 1 1"},
            at=4,
            fires=_NETWORK,
        ),
        Case("none", {("rows_quarantined_total", "", ""): "0+0x10"}, at=6),
    ),
    "GossipPriceSimulatedFeed": (
        Case("one node's are", {("simulated_feed", "a", ""): "1+0x10"}, at=6, fires=_NETWORK),
        Case("none's are", {("simulated_feed", "", ""): "0+0x10"}, at=6),
    ),
    "GossipPriceOperatorAbsent": (
        Case("two wait", {("operator_active", "", ""): "0+0x10"}, at=6, fires=_NETWORK),
        Case(
            "one acts",
            {("operator_active", "a", ""): "0+0x10", ("operator_active", "b", ""): "1+0x10"},
            at=6,
        ),
    ),
    "GossipPriceOperatorFailing": (
        Case(
            "again and again",
            {("operator_look_errors_total", "a", 'network="prices/eth"'): "0+1x30"},
            at=20,
            fires=({"network": "prices/eth"},),
        ),
        Case(
            "twice",
            {("operator_look_errors_total", "a", 'network="prices/eth"'): "0 1 2+0x20"},
            at=15,
        ),
    ),
    "GossipPriceNetworkStalled": (
        Case(
            "it waits for a person",
            {("operator_network_stalled", "a", 'network="prices/eth"'): "1+0x10"},
            at=6,
            fires=({"network": "prices/eth"},),
        ),
        Case(
            "it does not",
            {("operator_network_stalled", "a", 'network="prices/eth"'): "0+0x10"},
            at=6,
        ),
    ),
}
