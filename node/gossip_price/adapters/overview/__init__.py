"""A network's state as one node tells it, for a terminal: asked, judged, shown."""

from gossip_price.adapters.overview.answers import Overview, UnreachableError, ask
from gossip_price.adapters.overview.screen import show
from gossip_price.adapters.overview.verdict import find_reasons

__all__ = ["Overview", "UnreachableError", "ask", "find_reasons", "show"]
