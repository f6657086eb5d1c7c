from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from gossip_price.adapters.metrics import (
    NODE_FAMILIES,
    BacklogCollector,
    Family,
    HealthCollector,
    JournalCollector,
    MembersCollector,
    SourceCollector,
    TermsCollector,
    TransportCollector,
)
from gossip_price.core.backlog import Backlog
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.types import Now
from gossip_price.network.document import PairTerms
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import Connection
from networks import START, TERMS, make_network
from node_registry import make_full_registry

PAIR = {"pair": "ETH-USD"}


def show(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def test_counters_kept_elsewhere_are_read_at_each_scrape() -> None:
    answers = {("coinbase", "ok"): 3, ("coinbase", "timeout"): 1}
    registry = show(SourceCollector(lambda: answers))
    answers["coinbase", "ok"] = 4
    labels = {"source": "coinbase", "outcome": "ok"}
    assert registry.get_sample_value("gossip_price_source_answers_total", labels) == 4


def test_the_p2p_network_shows_its_peers_deliveries_and_events() -> None:
    counters = {"dials": 5, "delivered": 2, "published": 9}
    peers = ["a"]
    registry = show(TransportCollector(lambda: counters, lambda: peers))
    peers.append("b")
    events = "gossip_price_transport_events_total"
    assert registry.get_sample_value("gossip_price_peers") == 2
    assert registry.get_sample_value("gossip_price_messages_delivered_total") == 2
    assert registry.get_sample_value(events, {"event": "dials"}) == 5
    assert registry.get_sample_value(events, {"event": "published"}) is None, "counted elsewhere"


def test_the_terms_are_those_of_the_epoch_in_force_and_not_of_the_newest() -> None:
    first = make_network(4, interval=15).document
    second = make_network(
        5, interval=30, epoch=2, previous="0x" + first.hash.hex(), start=START + 300
    ).document
    now = START
    (newcomer,) = set(second.addresses) - set(first.addresses)
    chain = EpochChain([first, second])
    registry = show(TermsCollector(lambda: chain, newcomer, lambda: now))

    def get(*names: str) -> list[float | None]:
        return [registry.get_sample_value(f"gossip_price_{name}") for name in names]

    names = ("epoch", "epoch_newest", "members", "is_member", "interval_seconds")
    assert get(*names) == [1, 2, 4, 0, 15]
    now = second.start
    assert get(*names) == [2, 2, 5, 1, 30]
    assert get("rounds_expected_since_timestamp_seconds") == [second.start]
    assert get("minimum_signers", "max_deviation_ratio", "settle_cap_seconds") == [4, 0.01, 90]


def test_the_backlog_is_told_in_seconds_and_a_pair_never_stored_has_round_0() -> None:
    backlog = Backlog(2, 1_500, 3, 61_000, {"ETH-USD": START})
    btc = PairTerms("BTC-USD", 8, 1, 10**15)
    document = make_network(4, pairs=(btc, TERMS)).document
    registry = show(BacklogCollector(lambda: backlog, lambda: document))
    values = {
        name: registry.get_sample_value(f"gossip_price_{name}")
        for name in (
            "unsettled_reports",
            "unsettled_oldest_age_seconds",
            "unstored_rows",
            "unstored_oldest_age_seconds",
        )
    }
    assert list(values.values()) == [2, 1.5, 3, 61]
    name = "gossip_price_stored_round_timestamp_seconds"
    assert registry.get_sample_value(name, PAIR) == START
    assert registry.get_sample_value(name, {"pair": "BTC-USD"}) == 0


def test_the_journal_s_size_is_that_of_its_files_together(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    registry = show(JournalCollector(path))
    assert registry.get_sample_value("gossip_price_journal_size_bytes") == 0
    path.write_bytes(bytes(4_096))
    (tmp_path / "journal.db-wal").write_bytes(bytes(100))
    assert registry.get_sample_value("gossip_price_journal_size_bytes") == 4_196


NOW = Now(START * 1_000, 500_000)
DOCUMENT = make_network(4).document


def show_members(presences: Sequence[MemberPresence], *peers: str) -> CollectorRegistry:
    return show(
        MembersCollector(
            lambda: NOW,
            lambda: DOCUMENT,
            lambda now: presences,
            lambda: [Connection(peer, is_inbound=True, since_ms=0, ping_ms=12.0) for peer in peers],
        )
    )


def make_presences(**of_the_second: Any) -> list[MemberPresence]:
    """Return us, a second member as given, and two that were never heard."""
    me, second, *never = DOCUMENT.addresses
    given: dict[str, Any] = {"received": NOW, "clock_ms": NOW.wall_ms} | of_the_second
    return [
        MemberPresence(me, is_me=True, received=NOW, clock_ms=NOW.wall_ms, heard={second: 17}),
        MemberPresence(second, **given),
        *(MemberPresence(address) for address in never),
    ]


def get_by_member(registry: CollectorRegistry, name: str) -> list[float | None]:
    return [
        registry.get_sample_value(f"gossip_price_member_{name}", {"member": member.address})
        for member in DOCUMENT.members
    ]


def test_each_other_member_has_a_series_whether_it_is_there_or_not() -> None:
    received = Now(NOW.wall_ms - 7_000, NOW.mono_ms - 7_000)
    second = DOCUMENT.members[1].peer_id
    registry = show_members(
        make_presences(received=received, clock_ms=received.wall_ms + 2_500), second, "a stranger"
    )
    assert get_by_member(registry, "connected") == [None, 1, 0, 0]
    assert get_by_member(registry, "ping_seconds") == [None, 0.012, None, None]
    assert get_by_member(registry, "present") == [None, 1, 0, 0]
    assert get_by_member(registry, "heartbeat_age_seconds") == [None, 7, None, None]
    assert get_by_member(registry, "messages_heard_total") == [None, 17, 0, 0]
    assert get_by_member(registry, "clock_offset_seconds") == [None, 2.5, None, None]
    assert registry.get_sample_value("gossip_price_clock_offset_seconds") == 0


def test_the_margin_is_who_is_there_less_who_must_sign() -> None:
    silent = show_members(make_presences(missed=9))
    both = show_members(make_presences())
    names = [f"gossip_price_{name}" for name in ("members_present", "quorum_margin")]
    assert [silent.get_sample_value(name) for name in names] == [1, -2]
    assert [both.get_sample_value(name) for name in names] == [2, -1]


def test_our_own_clock_is_the_one_that_differs_where_all_others_agree() -> None:
    me, *others = DOCUMENT.addresses
    presences = [
        MemberPresence(me, is_me=True, received=NOW, clock_ms=NOW.wall_ms),
        *(MemberPresence(one, received=NOW, clock_ms=NOW.wall_ms + 3_000) for one in others),
    ]
    registry = show_members(presences)
    assert registry.get_sample_value("gossip_price_clock_offset_seconds") == -3
    assert get_by_member(registry, "clock_offset_seconds") == [None, 0, 0, 0]


def test_whom_others_do_not_hear_and_who_does_not_hear_others_is_shown_of_all() -> None:
    gone, *there = DOCUMENT.addresses
    deaf = there[-1]
    presences = [
        MemberPresence(gone),
        *(
            MemberPresence(
                one,
                is_me=one == there[0],
                received=NOW,
                clock_ms=NOW.wall_ms,
                unheard={
                    other: 9 if other == gone or one == deaf else 0
                    for other in DOCUMENT.addresses
                    if other != one
                },
            )
            for one in there
        ),
    ]
    registry = show_members(presences)
    assert get_by_member(registry, "isolated") == [1, 0, 0, 0]
    assert get_by_member(registry, "deaf") == [0, 0, 0, 1]


def test_each_problem_of_readiness_is_a_series_that_is_there_before_it_happens() -> None:
    registry = show(HealthCollector(lambda: {"clock": "it is behind"}, lambda: 3))
    name = "gossip_price_problem"
    assert registry.get_sample_value(name, {"problem": "clock"}) == 1
    for problem in ("journal", "peers", "protocol"):
        assert registry.get_sample_value(name, {"problem": problem}) == 0
    assert registry.get_sample_value("gossip_price_messages_dropped_total") == 3


OURS = [family for family in NODE_FAMILIES if family.type != "info"]


@pytest.mark.parametrize("family", NODE_FAMILIES, ids=lambda family: family.name)
def test_every_declared_metric_follows_the_conventions(family: Family) -> None:
    assert re.fullmatch(r"gossip_price_[a-z_]+", family.name)
    assert family.question.endswith("?")
    assert family.name.endswith("_total") == (family.type == "counter")
    assert family.name.endswith("_info") == (family.type == "info")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|kilobytes|percent)(_|$)", family.name)
    if family.type == "histogram":
        assert family.name.endswith("_seconds")


def test_what_is_declared_is_what_a_node_exports(tmp_path: Path) -> None:
    declared = {(family.name, family.type, family.question): set(family.labels) for family in OURS}
    exported: dict[tuple[str, str, str], set[str]] = {}
    for metric in make_full_registry(tmp_path / "journal.db").collect():
        if not metric.name.startswith("gossip_price_") or metric.type == "info":
            continue
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert metric.samples, f"{name} has no sample: its labels cannot be checked"
        exported[name, metric.type, metric.documentation] = labels
    assert exported == declared
