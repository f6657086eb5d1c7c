"""HTTP of every process: `server` listens, `routes` answer; further parts are route lists."""

from gossip_price.adapters.http.absent import make_absent_routes
from gossip_price.adapters.http.api_network import NetworkPage, make_network_routes
from gossip_price.adapters.http.api_prices import make_price_routes
from gossip_price.adapters.http.api_rounds import make_round_routes
from gossip_price.adapters.http.docs_page import make_docs_routes
from gossip_price.adapters.http.events_stream import make_event_routes
from gossip_price.adapters.http.network_view import NetworkFacts
from gossip_price.adapters.http.routes import (
    Health,
    make_app,
    make_metrics_routes,
    make_probe_routes,
    make_status_routes,
)
from gossip_price.adapters.http.server import AppServer, HttpServer

__all__ = [
    "AppServer",
    "Health",
    "HttpServer",
    "NetworkFacts",
    "NetworkPage",
    "make_absent_routes",
    "make_app",
    "make_docs_routes",
    "make_event_routes",
    "make_metrics_routes",
    "make_network_routes",
    "make_price_routes",
    "make_probe_routes",
    "make_round_routes",
    "make_status_routes",
]
