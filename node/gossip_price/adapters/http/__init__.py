"""HTTP of every process: `server` listens, `routes` answer; further parts are route lists."""

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
    "make_app",
    "make_metrics_routes",
    "make_probe_routes",
    "make_status_routes",
]
