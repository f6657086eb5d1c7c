from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gossip_price import __version__
from gossip_price.adapters.metrics import NodeMetrics, make_registry
from gossip_price.core.events import Note, NoteKind


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> NodeMetrics:
    return NodeMetrics(registry, ["ETH-USD"])


COUNTED = [
    (NoteKind.OBSERVED, "observations_total", {"pair": "ETH-USD"}),
    (NoteKind.NOT_OBSERVED, "observations_missing_total", {"pair": "ETH-USD", "reason": "why"}),
    (NoteKind.PROPOSED, "reports_proposed_total", {"pair": "ETH-USD"}),
    (NoteKind.SIGNED, "signatures_given_total", {"pair": "ETH-USD"}),
    (NoteKind.COSIGNED, "signatures_merged_total", {"pair": "ETH-USD"}),
    (NoteKind.PROVEN, "reports_proven_total", {"pair": "ETH-USD"}),
    (NoteKind.SETTLED, "reports_settled_total", {"pair": "ETH-USD"}),
    (NoteKind.STORED, "rows_stored_total", {"pair": "ETH-USD"}),
    (NoteKind.RECEIPT, "receipts_total", {"pair": "ETH-USD"}),
    (NoteKind.ROUND_LOST, "rounds_lost_total", {"pair": "ETH-USD", "reason": "why"}),
    (NoteKind.WITHHELD, "signatures_withheld_total", {"pair": "ETH-USD", "reason": "why"}),
    (NoteKind.EQUIVOCATION, "equivocations_total", {}),
    (NoteKind.IGNORED, "ignored_total", {"reason": "why"}),
    (NoteKind.REJECTED, "rejected_total", {"reason": "why"}),
    (NoteKind.PUBLISHED, "messages_published_total", {}),
    (NoteKind.ASKED, "questions_asked_total", {}),
    (NoteKind.UNANSWERED, "questions_unanswered_total", {"reason": "why"}),
    (NoteKind.ANSWERED, "questions_answered_total", {}),
    (NoteKind.HEALED, "reports_healed_total", {"pair": "ETH-USD"}),
    (NoteKind.CAUGHT_UP, "catchups_total", {}),
    (NoteKind.EPOCH_KNOWN, "epochs_learnt_total", {}),
    (NoteKind.EPOCH_ENTERED, "epochs_entered_total", {}),
    (NoteKind.EPOCH_REFUSED, "epochs_refused_total", {}),
    (NoteKind.PROTOCOL_UNKNOWN, "epochs_unknown_protocol_total", {}),
    (NoteKind.POISON, "rows_refused_total", {}),
    (NoteKind.AUDITED, "audits_total", {"reason": "why"}),
    (NoteKind.AUDIT_FAILED, "audit_failures_total", {}),
    (NoteKind.RESTORED, "rows_restored_total", {}),
    (NoteKind.QUARANTINED, "rows_quarantined_total", {"reason": "why"}),
    (NoteKind.LEFT_ALONE, "rows_left_alone_total", {}),
    (NoteKind.LATE_SIGNED, "late_signature_batches_total", {}),
    (NoteKind.CLOCK_STEPPED, "clock_steps_total", {}),
    (NoteKind.JOURNAL_FAILED, "journal_failures_total", {}),
    (NoteKind.STORE_DOWN, "store_failures_total", {}),
]


@pytest.mark.parametrize(("kind", "name", "labels"), COUNTED)
def test_each_kind_of_note_has_its_counter(
    registry: CollectorRegistry,
    metrics: NodeMetrics,
    kind: NoteKind,
    name: str,
    labels: dict[str, str],
) -> None:
    for _ in range(2):
        metrics.observe(Note(kind, pair="ETH-USD", reason="why"))
    assert registry.get_sample_value(f"gossip_price_{name}", labels) == 2


def test_every_kind_is_counted_but_the_ends_of_trouble() -> None:
    counted = {kind for kind, _, _ in COUNTED}
    assert set(NoteKind) - counted == {NoteKind.STORE_UP, NoteKind.JOURNAL_RECOVERED}


def test_late_signatures_are_counted_one_by_one(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.LATE_SIGNED, count=3))
    assert registry.get_sample_value("gossip_price_late_signatures_added_total") == 3


def test_a_pair_s_series_begin_at_zero(registry: CollectorRegistry, metrics: NodeMetrics) -> None:
    assert registry.get_sample_value("gossip_price_rows_stored_total", {"pair": "ETH-USD"}) == 0


def test_a_pair_that_an_epoch_brings_begins_at_zero_and_the_epochs_are_shown(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.add_pairs(["BTC-USD", "ETH-USD"])
    assert registry.get_sample_value("gossip_price_rows_stored_total", {"pair": "BTC-USD"}) == 0
    metrics.observe(Note(NoteKind.EPOCH_ENTERED, count=2))
    metrics.observe(Note(NoteKind.EPOCH_KNOWN, count=3))
    assert registry.get_sample_value("gossip_price_epoch") == 2
    assert registry.get_sample_value("gossip_price_epoch_newest") == 3


def test_states_are_gauges(registry: CollectorRegistry, metrics: NodeMetrics) -> None:
    def get() -> tuple[float | None, float | None]:
        return (
            registry.get_sample_value("gossip_price_store_up"),
            registry.get_sample_value("gossip_price_journal_writable"),
        )

    assert get() == (0, 1)
    metrics.observe(Note(NoteKind.STORE_UP))
    metrics.observe(Note(NoteKind.JOURNAL_FAILED))
    assert get() == (1, 0)
    metrics.observe(Note(NoteKind.STORE_DOWN))
    metrics.observe(Note(NoteKind.JOURNAL_RECOVERED))
    assert get() == (0, 1)


def test_the_proven_price_is_that_of_the_newest_round_in_whatever_order_they_come(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    for round_, price in ((100, 300000), (115, 300112), (85, 290000)):
        metrics.observe(
            Note(NoteKind.PROVEN, pair="ETH-USD", round=round_, price=price, decimals=2)
        )
    pair = {"pair": "ETH-USD"}
    assert registry.get_sample_value("gossip_price_proven_price", pair) == 3001.12
    name = "gossip_price_proven_round_timestamp_seconds"
    assert registry.get_sample_value(name, pair) == 115


def test_our_own_observation_is_a_gauge_with_its_round(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(
        Note(NoteKind.OBSERVED, pair="ETH-USD", round=115, price=299900, decimals=2, count=3)
    )
    pair = {"pair": "ETH-USD"}
    assert registry.get_sample_value("gossip_price_observed_price", pair) == 2999
    name = "gossip_price_observed_round_timestamp_seconds"
    assert registry.get_sample_value(name, pair) == 115


def test_the_time_to_store_is_measured_in_seconds_finely_about_the_promise(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.STORED, pair="ETH-USD", ms=30_400))
    name = "gossip_price_stored_after_last_signer_seconds"
    pair = {"pair": "ETH-USD"}
    assert registry.get_sample_value(f"{name}_sum", pair) == 30.4
    assert registry.get_sample_value(f"{name}_bucket", pair | {"le": "30.0"}) == 0
    assert registry.get_sample_value(f"{name}_bucket", pair | {"le": "31.0"}) == 1


def test_entries_are_counted_beside_messages(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.PUBLISHED, count=7))
    assert registry.get_sample_value("gossip_price_entries_published_total") == 7


def test_no_stranger_can_make_the_number_of_series_grow(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    for number in range(1_000):
        metrics.observe(Note(NoteKind.WITHHELD, pair=f"P{number}-USD", reason=f"r{number}"))
        metrics.observe(Note(NoteKind.REJECTED, reason=f'<script>{number}"'))
    assert generate_latest(registry).count(b"\n") < 1_000
    assert registry.get_sample_value("gossip_price_rejected_total", {"reason": "other"}) == 1_000


def test_counters_kept_elsewhere_are_read_when_asked_for(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    answers = {("coinbase", "ok"): 3, ("coinbase", "timeout"): 1}
    events = {"dials": 5}
    peers = ["a"]
    metrics.add_sources(lambda: answers)
    metrics.add_transport(lambda: events, lambda: peers)
    answers["coinbase", "ok"] = 4
    events["bans"] = 1
    peers.append("b")
    labels = {"source": "coinbase", "reason": "ok"}
    assert registry.get_sample_value("gossip_price_source_answers_total", labels) == 4
    name = "gossip_price_transport_events_total"
    assert registry.get_sample_value(name, {"event": "bans"}) == 1
    assert registry.get_sample_value("gossip_price_peers") == 2


def test_the_version_and_a_simulated_feed_can_be_seen(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.set_simulated(True)
    assert registry.get_sample_value("gossip_price_simulated_feed") == 1
    assert 'gossip_price_build_info{python="3.' in generate_latest(registry).decode()
    assert f'version="{__version__}"' in generate_latest(registry).decode()


def test_names_follow_the_conventions_and_every_help_is_a_question(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.add_sources(dict)
    metrics.add_transport(dict, tuple)
    for family in registry.collect():
        assert re.fullmatch(r"gossip_price_[a-z_]+", family.name)
        assert family.documentation.endswith("?")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_a_process_s_own_registry_shows_its_memory() -> None:
    assert make_registry().get_sample_value("process_resident_memory_bytes")
