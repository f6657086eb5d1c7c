"""Networks that come up while earlier tests run: applied early, waited for by who needs them."""

from __future__ import annotations

from e2e import images, price_feed
from e2e.api import Object
from e2e.cluster import Cluster
from e2e.network import Network, make_network


def begin_two_pairs(cluster: Cluster) -> Network:
    """Apply a network of two pairs, each price the median of two sources."""
    cluster.apply(*price_feed.make_feed("second-feed", str(images.NODE)))
    network = Network(cluster, "two-pairs", "two-pairs")
    network.make_namespace()
    sources = [price_feed.make_source(name) for name in ("feed", "second-feed")]
    price = {"sources": sources, "minSources": 2}
    pairs = [{"name": "ETH-USD"}, {"name": "BTC-USD"}]
    network.apply(make_network("two-pairs", pairs=pairs, price=price))
    return network


def begin_acme(cluster: Cluster) -> Network:
    """Apply an organisation's own network, before another one joins it."""
    network = Network(cluster, "acme", "acme")
    network.make_namespace()
    network.apply(make_acme())
    return network


def make_acme() -> Object:
    """Return a network of three members."""
    return make_network("acme", nodes={"count": 3})
