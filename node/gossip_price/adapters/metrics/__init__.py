"""A process's numbers for Prometheus, each declared once (`families`) where it is filled.

`node` counts what the machine tells; the collectors read at a scrape what can be read then.
"""

from gossip_price.adapters.metrics.backlog import (
    BACKLOG_FAMILIES,
    JOURNAL_FAMILIES,
    BacklogCollector,
    JournalCollector,
)
from gossip_price.adapters.metrics.families import Family, order
from gossip_price.adapters.metrics.health import HEALTH_FAMILIES, HealthCollector
from gossip_price.adapters.metrics.members import MEMBER_FAMILIES, MembersCollector
from gossip_price.adapters.metrics.node import NOTED_FAMILIES, NodeMetrics
from gossip_price.adapters.metrics.process import PROCESS_FAMILIES, make_registry
from gossip_price.adapters.metrics.sources import SOURCE_FAMILIES, SourceCollector
from gossip_price.adapters.metrics.terms import TERM_FAMILIES, TermsCollector
from gossip_price.adapters.metrics.transport import TRANSPORT_FAMILIES, TransportCollector

#: What a bootstrap exports, and what a node does.
BOOTSTRAP_FAMILIES = order((*PROCESS_FAMILIES, *TRANSPORT_FAMILIES))
NODE_FAMILIES = order(
    (
        *BOOTSTRAP_FAMILIES,
        *NOTED_FAMILIES,
        *SOURCE_FAMILIES,
        *TERM_FAMILIES,
        *BACKLOG_FAMILIES,
        *JOURNAL_FAMILIES,
        *HEALTH_FAMILIES,
        *MEMBER_FAMILIES,
    )
)

__all__ = [
    "BOOTSTRAP_FAMILIES",
    "NODE_FAMILIES",
    "BacklogCollector",
    "Family",
    "HealthCollector",
    "JournalCollector",
    "MembersCollector",
    "NodeMetrics",
    "SourceCollector",
    "TermsCollector",
    "TransportCollector",
    "make_registry",
]
