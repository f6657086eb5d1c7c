from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gossip_price import __version__
from gossip_price.adapters.metrics import NodeMetrics, make_registry
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.document import PairTerms
from gossip_price.network.keys import format_address
from networks import TERMS, make_network

NETWORK = make_network(4)
DOCUMENT = NETWORK.document
ADDRESSES = [format_address(address) for address in DOCUMENT.addresses]
ME = DOCUMENT.addresses[0]
TERMS_OF_BTC = PairTerms("BTC-USD", 8, 1, 10**15)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> NodeMetrics:
    return NodeMetrics(registry, [DOCUMENT], me=ME, wall_s=lambda: 1_000.0)


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
    (NoteKind.EQUIVOCATION, "equivocations_total", {"member": ADDRESSES[1]}),
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
    (NoteKind.QUARANTINED, "rows_quarantined_total", {}),
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
        metrics.observe(Note(kind, pair="ETH-USD", reason="why", member=DOCUMENT.addresses[1]))
    assert registry.get_sample_value(f"gossip_price_{name}", labels) == 2


def test_every_kind_is_counted_but_the_ends_of_trouble() -> None:
    counted = {kind for kind, _, _ in COUNTED}
    assert set(NoteKind) - counted == {NoteKind.STORE_UP, NoteKind.JOURNAL_RECOVERED}


def test_late_signatures_are_counted_one_by_one(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.LATE_SIGNED, count=3))
    assert registry.get_sample_value("gossip_price_late_signatures_added_total") == 3


def test_the_series_of_pairs_and_members_begin_at_zero(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    assert registry.get_sample_value("gossip_price_rows_stored_total", {"pair": "ETH-USD"}) == 0
    for address in ADDRESSES:
        name = "gossip_price_equivocations_total"
        assert registry.get_sample_value(name, {"member": address}) == 0


def test_what_an_epoch_brings_begins_at_zero_too_and_what_began_goes_on(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.STORED, pair="ETH-USD"))
    metrics.add_epoch(make_network(5, pairs=(TERMS_OF_BTC, TERMS)).document)
    name = "gossip_price_rows_stored_total"
    assert registry.get_sample_value(name, {"pair": "BTC-USD"}) == 0
    assert registry.get_sample_value(name, {"pair": "ETH-USD"}) == 1


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


def test_the_outage_of_the_database_has_a_beginning_and_an_end(
    registry: CollectorRegistry,
) -> None:
    wall_s = 1_000.0
    metrics = NodeMetrics(registry, wall_s=lambda: wall_s)

    def get() -> float | None:
        return registry.get_sample_value("gossip_price_store_down_since_timestamp_seconds")

    assert get() == 1_000, "it has not answered yet"
    metrics.observe(Note(NoteKind.STORE_UP))
    assert get() == 0
    wall_s = 2_000.0
    metrics.observe(Note(NoteKind.STORE_DOWN, reason="refused"))
    wall_s = 3_000.0
    metrics.observe(Note(NoteKind.STORE_DOWN, reason="timeout"))
    assert get() == 2_000


def test_rounds_without_a_price_of_ours_are_counted_until_one_has_one(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    def get() -> float | None:
        name = "gossip_price_rounds_unobserved_in_a_row"
        return registry.get_sample_value(name, {"pair": "ETH-USD"})

    assert get() == 0
    for round_ in (70, 85, 85, 100):  # asked twice in one round
        metrics.observe(Note(NoteKind.NOT_OBSERVED, pair="ETH-USD", round=round_, reason="timeout"))
    assert get() == 3
    metrics.observe(Note(NoteKind.OBSERVED, pair="ETH-USD", round=115, price=1))
    assert get() == 0


def test_the_time_to_quorum_counts_from_the_rounds_start_and_only_what_was_seen_live(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    metrics.observe(Note(NoteKind.PROVEN, pair="ETH-USD", round=100, ms=1_300))
    metrics.observe(Note(NoteKind.PROVEN, pair="ETH-USD", round=85, ms=0))
    name = "gossip_price_proven_after_round_start_seconds"
    pair = {"pair": "ETH-USD"}
    assert registry.get_sample_value(f"{name}_count", pair) == 1
    assert registry.get_sample_value(f"{name}_bucket", pair | {"le": "1.0"}) == 0
    assert registry.get_sample_value(f"{name}_bucket", pair | {"le": "1.5"}) == 1


def test_a_proposer_s_bias_is_its_prices_beside_ours_of_the_same_rounds(
    registry: CollectorRegistry, metrics: NodeMetrics
) -> None:
    other, pair = DOCUMENT.addresses[1], "ETH-USD"
    for round_, ours, proposed, proposer in (
        (100, 200_000, 201_000, other),  # half a percent above
        (115, 200_000, 199_800, other),
        (130, 200_000, 200_000, other),
        (145, 200_000, 202_000, ME),  # our own prices lean to no side
        (160, None, 202_000, other),  # nothing to compare with
    ):
        if ours is not None:
            metrics.observe(Note(NoteKind.OBSERVED, pair=pair, round=round_, price=ours))
        note = Note(NoteKind.SETTLED, pair=pair, round=round_, price=proposed, proposer=proposer)
        metrics.observe(note)
    member = {"member": ADDRESSES[1]}
    name = "gossip_price_proposer_bias_ratio_total"
    assert registry.get_sample_value(name, member | {"side": "above"}) == pytest.approx(0.005)
    assert registry.get_sample_value(name, member | {"side": "below"}) == pytest.approx(0.001)
    compared = "gossip_price_proposer_prices_compared_total"
    assert registry.get_sample_value(compared, member) == 3
    assert registry.get_sample_value(compared, {"member": ADDRESSES[2]}) == 0
    assert registry.get_sample_value(compared, {"member": ADDRESSES[0]}) is None


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


def test_a_simulated_feed_can_be_seen(registry: CollectorRegistry) -> None:
    NodeMetrics(registry, is_simulated=True)
    assert registry.get_sample_value("gossip_price_simulated_feed") == 1


def test_a_process_s_own_registry_shows_its_version_and_memory() -> None:
    registry = make_registry()
    assert registry.get_sample_value("process_resident_memory_bytes")
    assert 'gossip_price_build_info{python="3.' in generate_latest(registry).decode()
    assert f'version="{__version__}"' in generate_latest(registry).decode()
