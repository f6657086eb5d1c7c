"""The registry of a process, and which version it is; the same for nodes and bootstraps."""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from gossip_price import __version__
from gossip_price.adapters.metrics.families import Family

_BUILD = Family("info", "gossip_price_build_info", "Which version is this?", ("python", "version"))
PROCESS_FAMILIES: Final = (_BUILD,)


def make_registry() -> CollectorRegistry:
    """Return a registry of one process's own: version, memory, CPU, open files and collections."""
    # A second series beside each counter, of when it began: what process_start_time_seconds tells.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in its library
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info(_BUILD.name.removesuffix("_info"), _BUILD.question, registry=registry)
    build.info({"version": __version__, "python": platform.python_version()})
    return registry
