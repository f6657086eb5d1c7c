"""Prices from HTTP servers: `answer` reads one body, `fetch` gets one, `observer` takes many."""

from gossip_price.adapters.sources.observer import HttpPriceSource

__all__ = ["HttpPriceSource"]
