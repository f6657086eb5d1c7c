"""Alerts: what is wrong, from when on it matters, and what to do. Pure, and their one source.

Thresholds that depend on the network are read from what its nodes export (interval, minimum of
signers, skew), so that the same rules fit every epoch of every network. A Scope says whose series
they look at. Of each alert there is a page in docs/runbooks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import Template
from typing import Any, Final, Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Scope:
    """Whose series rules look at.

    `selector`: label matchers, without braces; `by`: the labels that tell networks apart; `node`:
    the label that names a node; `runbooks`: where the pages are.
    """

    selector: str
    by: str
    node: str
    runbooks: str


@dataclass(frozen=True)
class Alert:
    """One alert. `meaning` says when, in a page; the other texts go with it when it fires.

    In `expr`, `$m` stands where series are selected and `$by` for the labels that tell networks
    apart; in texts `$node` is the node.
    """

    name: str
    meaning: str
    expr: str
    after: str
    severity: Severity
    summary: str
    description: str

    def render(self, scope: Scope) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        expr = Template(self.expr).substitute(m=scope.selector, by=scope.by)
        texts = {
            key: text.replace("$node", f"{{{{ $labels.{scope.node} }}}}")
            for key, text in (("summary", self.summary), ("description", self.description))
        }
        return {
            "alert": self.name,
            "expr": expr.replace("{}", "").replace("{,", "{"),
            "for": self.after,
            "labels": {"severity": self.severity},
            "annotations": {
                **texts,
                "runbook_url": f"{scope.runbooks.rstrip('/')}/{self.name}.md",
            },
        }


def render_alerts(alerts: Iterable[Alert], scope: Scope) -> list[dict[str, Any]]:
    """Return the rules of these alerts."""
    return [alert.render(scope) for alert in alerts]


NETWORK_ALERTS: Final = (
    Alert(
        "GossipPriceNoPriceStored",
        "no price of a pair was stored for two intervals and the settle time",
        # The newest stored round or, where none is known, since when there should be one. A price
        # is stored when it has settled, so that each is a settle time old at least.
        "time() - (max by ($by, pair) (gossip_price_stored_round_timestamp_seconds{$m} > 0)"
        " or min by ($by, pair) (gossip_price_stored_round_timestamp_seconds{$m}"
        " + on ($by, instance) group_left ()"
        " gossip_price_rounds_expected_since_timestamp_seconds{$m}))"
        " > on ($by) group_left () (2 * max by ($by) (gossip_price_interval_seconds{$m})"
        " + max by ($by) (gossip_price_settle_cap_seconds{$m}))",
        "1m",
        "critical",
        "No price of {{ $labels.pair }} was stored for 2 intervals.",
        "The newest stored one is {{ $value | humanizeDuration }} old. See whether prices are"
        " proven (then it is the database) or not (then it is the quorum or the sources).",
    ),
    Alert(
        "GossipPriceBacklogOld",
        "a settled price has waited for the database for more than ten minutes",
        "max by ($by) (gossip_price_unstored_oldest_age_seconds{$m}) > 600",
        "1m",
        "warning",
        "A proven price has waited for the database for {{ $value | humanizeDuration }}.",
        "Nothing is lost: it is kept in the journals and stored when the database takes it.",
    ),
    Alert(
        "GossipPriceDatabaseDown",
        "the database answers no node",
        "max by ($by) (gossip_price_store_up{$m}) == 0",
        "5m",
        "critical",
        "The database answers no node.",
        "Bring Postgres back; prices are proven and kept meanwhile, and stored then.",
    ),
    Alert(
        "GossipPriceQuorumLost",
        "fewer members are there than must sign",
        "max by ($by) (gossip_price_quorum_margin{$m}) < 0",
        "2m",
        "critical",
        "Fewer members are there than must sign: no price can be agreed on.",
        "Bring back those that are silent: gossip_price_member_present names them.",
    ),
    Alert(
        "GossipPriceQuorumWithoutSpare",
        "as many are there as must sign, where there should be more",
        # A network that is meant to have none (3 of 3) has always this margin.
        "max by ($by) (gossip_price_quorum_margin{$m}) == 0"
        " and max by ($by) (gossip_price_members{$m})"
        " > max by ($by) (gossip_price_minimum_signers{$m})",
        "5m",
        "warning",
        "Only as many members are there as must sign: one more failure stops the prices.",
        "Bring back the members that are silent before anything else is restarted.",
    ),
    Alert(
        "GossipPriceMemberSilent",
        "no node hears a member",
        "max by ($by, member) (gossip_price_member_present{$m}) == 0",
        "5m",
        "warning",
        "No node hears member {{ $labels.member }}.",
        "It is stopped or cut off: look at its pod or process, then at its connections.",
    ),
    Alert(
        "GossipPriceMemberDeaf",
        "a member does not hear whom the others hear",
        "avg by ($by, member) (gossip_price_member_deaf{$m}) > 0.5",
        "5m",
        "warning",
        "Member {{ $labels.member }} does not hear members that others hear.",
        "What it sends arrives, what is sent to it does not: look at its inbound connections.",
    ),
    Alert(
        "GossipPriceClockOff",
        "a clock is off by more than half the skew",
        "abs(gossip_price_clock_offset_seconds{$m}) > gossip_price_skew_seconds{$m} / 2",
        "5m",
        "warning",
        "The clock of $node is {{ $value | humanizeDuration }} from the others' median.",
        "Beyond the skew the others refuse its prices: see to its time synchronisation.",
    ),
    Alert(
        "GossipPriceNodeNotReady",
        "a node does not take part: no peers, a failing journal, its clock, its version",
        "gossip_price_problem{$m} == 1",
        "5m",
        "warning",
        "$node does not take part: {{ $labels.problem }}.",
        "GET /readyz of the node says what exactly is wrong and, mostly, what to do about it.",
    ),
    Alert(
        "GossipPriceNoObservation",
        "a node has seen no price for three rounds",
        "gossip_price_rounds_unobserved_in_a_row{$m} >= 3",
        "0m",
        "warning",
        "$node has seen no price of {{ $labels.pair }} for {{ $value }} rounds.",
        "It neither proposes nor signs: look at gossip_price_source_answers_total by outcome.",
    ),
    Alert(
        "GossipPriceProposerBias",
        "a proposer's prices lean to one side by more than half of `maxDeviation`, on"
        " the mean of a day",
        # Over a day, and of 20 prices at least: sources differ, and one round says nothing.
        "abs(avg by ($by, member)"
        ' (increase(gossip_price_proposer_bias_ratio_total{$m,side="above"}[1d]))'
        " - avg by ($by, member)"
        ' (increase(gossip_price_proposer_bias_ratio_total{$m,side="below"}[1d])))'
        " / (avg by ($by, member)"
        " (increase(gossip_price_proposer_prices_compared_total{$m}[1d])) > 20)"
        " > on ($by) group_left () (max by ($by) (gossip_price_max_deviation_ratio{$m}) / 2)",
        "1h",
        "warning",
        "Prices of {{ $labels.member }} lean to one side, by {{ $value | humanizePercentage }}.",
        "On the mean of a day, beside what the others saw: its sources differ, or it shades them.",
    ),
    Alert(
        "GossipPriceEquivocation",
        "a member signed two reports where it may sign one",
        "max by ($by, member) (increase(gossip_price_equivocations_total{$m}[1h])) > 0",
        "0m",
        "critical",
        "{{ $labels.member }} signed two reports where it may sign one.",
        "Its key is in two places, or in other hands: stop it, then rotate the key.",
    ),
    Alert(
        "GossipPriceRowsQuarantined",
        "false rows were found in the database",
        "max by ($by) (increase(gossip_price_rows_quarantined_total{$m}[1h])) > 0",
        "0m",
        "critical",
        "False rows were found in the database and moved to quarantine.",
        "Somebody else writes to it: look at the table quarantine and at who has the password.",
    ),
    Alert(
        "GossipPriceSimulatedFeed",
        "prices are nobody's market",
        "max by ($by) (gossip_price_simulated_feed{$m}) == 1",
        "5m",
        "info",
        "Prices are simulated, nobody's market.",
        "Fine for a trial. Where people rely on them: name real sources.",
    ),
)

OPERATOR_ALERTS: Final = (
    Alert(
        "GossipPriceOperatorAbsent",
        "no operator holds the Lease",
        "max by ($by) (gossip_price_operator_active{$m}) == 0",
        "5m",
        "critical",
        "No operator is the active one: networks run on, and nobody looks after them.",
        "See why none gets the Lease: the operators' logs, and their rights on leases.",
    ),
    Alert(
        "GossipPriceOperatorFailing",
        "looks at a network fail again and again",
        "max by ($by, network) (increase(gossip_price_operator_look_errors_total{$m}[15m])) >= 5",
        "5m",
        "warning",
        "The operator cannot look after network {{ $labels.network }}.",
        "Its log says what the API server answers, with the network's name in each line.",
    ),
    Alert(
        "GossipPriceNetworkStalled",
        "a network waits for a person",
        "max by ($by, network) (gossip_price_operator_network_stalled{$m}) == 1",
        "5m",
        "warning",
        "Network {{ $labels.network }} waits for a person.",
        "Its condition Stalled has the remedy: kubectl describe pricenetwork.",
    ),
)
