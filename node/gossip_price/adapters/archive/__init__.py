"""Every price that this node can show: recent ones from memory and journal, older from Postgres."""

from gossip_price.adapters.archive.archive import (
    PAGE_MAX,
    Archive,
    FalseRowError,
    OlderUnavailableError,
    Page,
)
from gossip_price.adapters.archive.found import FoundPrice
from gossip_price.adapters.archive.recent import RecentPrices

__all__ = [
    "PAGE_MAX",
    "Archive",
    "FalseRowError",
    "FoundPrice",
    "OlderUnavailableError",
    "Page",
    "RecentPrices",
]
