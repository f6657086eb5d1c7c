"""The Grafana dashboard, made from a table: each panel a question, and the queries that answer it.

`python -m gossip_price.dashboard >deploy/dashboard.json` writes it anew (`make manifests`). A test
holds every name and label in it to what processes export; knows nothing of how they are filled.
A network is a scrape job: one's own, or the `namespace/name` that a PodMonitor makes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Unit = Literal["short", "s", "bytes", "percentunit", "dateTimeFromNow", "bool_yes_no", "reqps"]

#: Grafana's grid is so many columns wide.
_COLUMNS: Final = 24
_HEIGHT: Final = {"stat": 4, "timeseries": 8, "table": 8}
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_VERSION: Final = 39


@dataclass(frozen=True)
class Query:
    """PromQL, and how its series are named. `$m` stands for the matcher of the network's job."""

    expr: str
    legend: str = "__auto"

    @property
    def text(self) -> str:
        """The query as Grafana sends it, its own variables left in."""
        return self.expr.replace("$m", 'job="$job"')


@dataclass(frozen=True)
class Panel:
    """A question and its answer. `red_from`, `red_to`: where a stat turns red."""

    question: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    width: int = 8
    type: Literal["stat", "timeseries", "table"] = "timeseries"
    hint: str = ""
    red_from: float | None = None
    red_to: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under one headline."""

    title: str
    panels: tuple[Panel, ...]


def _quantiles(name: str, *quantiles: float) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"histogram_quantile({quantile},"
            f" sum by (le) (increase(gossip_price_{name}_bucket{{$m}}[$window])))",
            f"{quantile:.0%} within",
        )
        for quantile in quantiles
    )


def _by(labels: str, expr: str) -> tuple[Query, ...]:
    legend = " ".join(f"{{{{{label}}}}}" for label in labels.split(", "))
    return (Query(f"sum by ({labels}) ({expr})", legend),)


def _increase_by(labels: str, name: str) -> tuple[Query, ...]:
    return _by(labels, f"increase(gossip_price_{name}{{$m}}[$window])")


def _each(name: str, legend: str = "{{instance}}") -> tuple[Query, ...]:
    return (Query(f"gossip_price_{name}{{$m}}", legend),)


ROWS: Final = (
    Row(
        "Do prices come?",
        (
            Panel(
                "Of which time is the newest stored price?",
                (
                    Query(
                        "max by (pair) (gossip_price_stored_round_timestamp_seconds{$m}) * 1000",
                        "{{pair}}",
                    ),
                ),
                "dateTimeFromNow",
                5,
                "stat",
            ),
            Panel(
                "How many members more than must sign are there?",
                (Query("max(gossip_price_quorum_margin{$m})"),),
                width=5,
                type="stat",
                hint="As seen by the node that sees most. Below 0 no price can be agreed on.",
                red_to=0,
            ),
            Panel(
                "For how long has the oldest settled price waited to be stored?",
                (Query("max(gossip_price_unstored_oldest_age_seconds{$m})"),),
                "s",
                5,
                "stat",
                red_from=600,
            ),
            Panel(
                "Does the database answer anybody?",
                (Query("max(gossip_price_store_up{$m})"),),
                "bool_yes_no",
                3,
                "stat",
                red_to=0,
            ),
            Panel(
                "Are prices simulated?",
                (Query("max(gossip_price_simulated_feed{$m})"),),
                "bool_yes_no",
                3,
                "stat",
                red_from=1,
            ),
            Panel(
                "Which epoch is in force?",
                (Query("max(gossip_price_epoch{$m})"),),
                width=3,
                type="stat",
            ),
            Panel(
                "What is the price, and what does each node see?",
                (
                    Query("max by (pair) (gossip_price_proven_price{$m})", "agreed {{pair}}"),
                    *_each("observed_price", "{{instance}} {{pair}}"),
                ),
                width=16,
            ),
            Panel(
                "How far is each node's own price from the agreed one?",
                (
                    Query(
                        "gossip_price_observed_price{$m} / on (pair) group_left ()"
                        " max by (pair) (gossip_price_proven_price{$m}) - 1",
                        "{{instance}} {{pair}}",
                    ),
                ),
                "percentunit",
            ),
        ),
    ),
    Row(
        "Do members agree?",
        (
            Panel(
                "How long after its round began has a price its quorum?",
                _quantiles("proven_after_round_start_seconds", 0.5, 0.95),
                "s",
            ),
            Panel(
                "How many rounds were lost, and why?",
                _increase_by("reason", "rounds_lost_total"),
                hint="Each node counts for itself.",
            ),
            Panel(
                "How many members have signed the newest settled price?",
                (
                    Query("max by (pair) (gossip_price_settled_signers{$m})", "{{pair}}"),
                    Query("max(gossip_price_minimum_signers{$m})", "must sign"),
                ),
            ),
            Panel(
                "Why were signatures withheld?",
                _increase_by("reason", "signatures_withheld_total"),
            ),
            Panel(
                "Whose prices lean to one side of what others see?",
                (
                    Query(
                        "(sum by (member) (increase("
                        'gossip_price_proposer_bias_ratio_total{$m,side="above"}[$window]))'
                        " - sum by (member) (increase("
                        'gossip_price_proposer_bias_ratio_total{$m,side="below"}[$window])))'
                        " / (sum by (member) (increase("
                        "gossip_price_proposer_prices_compared_total{$m}[$window])) > 0)",
                        "{{member}}",
                    ),
                    Query("max(gossip_price_max_deviation_ratio{$m})", "may differ at most"),
                ),
                "percentunit",
                hint="On the mean, beside what the others saw in the same rounds.",
            ),
            Panel(
                "Who signed two reports where it may sign one?",
                _increase_by("member", "equivocations_total"),
            ),
        ),
    ),
    Row(
        "Do sources answer?",
        (
            Panel(
                "How do sources answer?",
                _increase_by("source, outcome", "source_answers_total"),
                width=12,
            ),
            Panel(
                "How many rounds in a row has a node seen no price?",
                _each("rounds_unobserved_in_a_row", "{{instance}} {{pair}}"),
                width=6,
            ),
            Panel(
                "Of how many sources is each median?",
                _each("observed_sources", "{{instance}} {{pair}}"),
                width=6,
            ),
        ),
    ),
    Row(
        "Who is there, and who hears whom?",
        (
            Panel(
                "How many messages of each member does each node hear?",
                (
                    Query(
                        "increase(gossip_price_member_messages_heard_total{$m}[$window])",
                        "{{instance}} hears {{member}}",
                    ),
                ),
                width=12,
                type="table",
                hint="A row of nothing is a deaf node, a member that nobody hears is isolated.",
            ),
            Panel(
                "Who is silent, isolated or deaf?",
                (
                    Query("max by (member) (gossip_price_member_present{$m}) == 0", "silent"),
                    Query("max by (member) (gossip_price_member_isolated{$m}) == 1", "isolated"),
                    Query("max by (member) (gossip_price_member_deaf{$m}) == 1", "deaf"),
                ),
                width=12,
                type="table",
            ),
            Panel(
                "How long ago did each member's heartbeat come?",
                (
                    Query(
                        "min by (member) (gossip_price_member_heartbeat_age_seconds{$m})",
                        "{{member}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "Whose clock is off?",
                (
                    *_each("clock_offset_seconds"),
                    Query("max(gossip_price_skew_seconds{$m})", "may differ at most"),
                ),
                "s",
            ),
            Panel(
                "How long do pings between members take?",
                _each("member_ping_seconds", "{{instance}} to {{member}}"),
                "s",
            ),
            Panel("How many peers is each process connected to?", _each("peers")),
            Panel(
                "How many members does each node think are there?",
                (
                    *_each("members_present"),
                    Query("max(gossip_price_minimum_signers{$m})", "must sign"),
                    Query("max(gossip_price_members{$m})", "members"),
                ),
            ),
            Panel(
                "What keeps which node from taking part?",
                (Query("gossip_price_problem{$m} == 1", "{{instance}} {{problem}}"),),
            ),
        ),
    ),
    Row(
        "Is everything stored?",
        (
            Panel(
                "How long after its last signer is a price settled, and stored?",
                (
                    *_quantiles("settled_after_last_signer_seconds", 0.5),
                    *_quantiles("stored_after_last_signer_seconds", 0.5, 0.99),
                ),
                "s",
            ),
            Panel("How many settled prices wait for the database?", _each("unstored_rows")),
            Panel("How many proven prices have not settled?", _each("unsettled_reports")),
            Panel(
                "Who stores?",
                _increase_by("instance", "rows_stored_total"),
            ),
            Panel(
                "Who cannot reach the database, and for how long already?",
                (
                    Query(
                        "time() - (gossip_price_store_down_since_timestamp_seconds{$m} > 0)",
                        "{{instance}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "What did audits find?",
                (
                    Query(
                        "sum(increase(gossip_price_rows_restored_total{$m}[$window]))",
                        "missing, and inserted again",
                    ),
                    Query(
                        "sum(increase(gossip_price_rows_quarantined_total{$m}[$window]))",
                        "false, and moved to quarantine",
                    ),
                    Query(
                        "sum(increase(gossip_price_rows_refused_total{$m}[$window]))",
                        "refused by the database",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "What goes over the network?",
        (
            Panel(
                "How many messages a second come and go?",
                (
                    Query(
                        "sum by (instance) (rate(gossip_price_messages_published_total{$m}"
                        "[$__rate_interval]))",
                        "{{instance}} sends",
                    ),
                    Query(
                        "sum by (instance) (rate(gossip_price_messages_delivered_total{$m}"
                        "[$__rate_interval]))",
                        "{{instance}} receives",
                    ),
                ),
                "reqps",
            ),
            Panel("What was provably false, and why?", _increase_by("reason", "rejected_total")),
            Panel("What was of no use, and why?", _increase_by("reason", "ignored_total")),
            Panel(
                "What happens to connections?",
                _increase_by("event", "transport_events_total"),
            ),
            Panel(
                "How much had to be healed or caught up?",
                (
                    Query(
                        "sum(increase(gossip_price_reports_healed_total{$m}[$window]))", "healed"
                    ),
                    Query("sum(increase(gossip_price_catchups_total{$m}[$window]))", "caught up"),
                    Query(
                        "sum by (reason)"
                        " (increase(gossip_price_questions_unanswered_total{$m}[$window]))",
                        "unanswered: {{reason}}",
                    ),
                ),
            ),
            Panel(
                "Which node is too busy for its messages?",
                _increase_by("instance", "messages_dropped_total"),
            ),
        ),
    ),
    Row(
        "What does it cost?",
        (
            Panel(
                "How much CPU does each process take?",
                (Query("rate(process_cpu_seconds_total{$m}[$__rate_interval])", "{{instance}}"),),
                "percentunit",
            ),
            Panel(
                "How much memory does each process hold?",
                (Query("process_resident_memory_bytes{$m}", "{{instance}}"),),
                "bytes",
            ),
            Panel("How large is each journal?", _each("journal_size_bytes"), "bytes"),
            Panel(
                "Which version runs where?",
                (Query("gossip_price_build_info{$m}", "{{instance}} {{version}}"),),
                width=12,
                type="table",
            ),
            Panel(
                "Whose clock jumped, whose journal failed?",
                (
                    Query(
                        "sum by (instance) (increase(gossip_price_clock_steps_total{$m}[$window]))",
                        "{{instance}} clock",
                    ),
                    Query(
                        "sum by (instance)"
                        " (increase(gossip_price_journal_failures_total{$m}[$window]))",
                        "{{instance}} journal",
                    ),
                ),
                width=12,
            ),
        ),
    ),
    Row(
        "What does the operator do?",
        (
            Panel(
                "Which networks are not ready, which wait for a person?",
                (
                    Query("gossip_price_operator_network_ready == 0", "{{network}} not ready"),
                    Query("gossip_price_operator_network_stalled == 1", "{{network}} stalled"),
                ),
            ),
            Panel(
                "How long does a look at a network take?",
                (
                    Query(
                        "histogram_quantile(0.95, sum by (le)"
                        " (increase(gossip_price_operator_look_seconds_bucket[$window])))",
                        "95% within",
                    ),
                    Query(
                        "sum by (network)"
                        " (increase(gossip_price_operator_look_errors_total[$window]))",
                        "{{network}} failed",
                    ),
                ),
            ),
            Panel(
                "What does it ask of the API server?",
                (
                    Query(
                        "sum by (method, code)"
                        " (increase(gossip_price_operator_api_requests_total[$window]))",
                        "{{method}} {{code}}",
                    ),
                ),
            ),
        ),
    ),
)


def list_queries() -> list[tuple[str, str]]:
    """Return (question, PromQL) of every query, Grafana's variables left in."""
    return [
        (panel.question, query.text)
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
    ]


def make_dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": "gossip-price",
        "uid": "gossip-price",
        "description": "Signed prices: do they come, do members agree, who hears whom.",
        "tags": ["gossip-price"],
        "schemaVersion": _VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _make_variables()},
        "panels": list(_make_panels(ROWS)),
    }


def format_dashboard() -> str:
    """Return the file that ships."""
    return json.dumps(make_dashboard(), indent=2, ensure_ascii=False) + "\n"


def _make_variables() -> list[dict[str, Any]]:
    windows = ("10m", "1h", "6h", "1d")
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "label": "network",
            "type": "query",
            "datasource": _DATASOURCE,
            "query": "label_values(gossip_price_epoch, job)",
            "refresh": 2,
            "sort": 1,
        },
        {
            "name": "window",
            "label": "counted over",
            "type": "custom",
            "query": ",".join(windows),
            "current": {"text": "1h", "value": "1h"},
            "options": [
                {"text": each, "value": each, "selected": each == "1h"} for each in windows
            ],
        },
    ]


def _make_panels(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    number = y = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
        }
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            number += 1
            yield _make_panel(panel, number, x, y)
            x += panel.width
            height = max(height, _HEIGHT[panel.type])
        y += height


def _make_panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    is_instant = panel.type != "timeseries"
    made = {
        "id": number,
        "type": panel.type,
        "title": panel.question,
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _HEIGHT[panel.type]},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": _make_thresholds(panel)},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": query.text,
                "legendFormat": query.legend,
                "instant": is_instant,
                "range": not is_instant,
                "format": "table" if panel.type == "table" else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
    }
    return made | ({"description": panel.hint} if panel.hint else {})


def _make_thresholds(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_to is not None:
        # Whole numbers: what is over it is one more at least.
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.red_to + 1}]
    elif panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    return {"mode": "absolute", "steps": steps}


if __name__ == "__main__":
    sys.stdout.write(format_dashboard())
