"""Every kopf decorator. What happened to an object matters not; whose it is, does.

kopf watches, resumes after 410 and reconnects; it is given nothing to write: no finalizers, no
annotations of handlers' progress, no log lines as events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from gossip_price_operator.gather import OWN_KINDS
from gossip_price_operator.kube import REQUEST_TIMEOUT_S, Kind
from gossip_price_operator.login import log_in
from gossip_price_operator.names import (
    FIELD_MANAGER,
    GROUP,
    INSTANCE,
    MANAGED_BY,
    PLURAL,
    VERSION,
)

Mark = Callable[[str, str, bool], None]
"""Called with the namespace and name of a network that may have changed, and whether just now."""

#: A watch that is silent so long is opened anew; the server sends bookmarks every minute.
_SILENT_S: Final = 70.0
#: kopf holds an object's last state, and one of its turns, until so long after its last event. For
#: a mark that is a waste, when thousands are read at a start.
_HELD_S: Final = 0.05
#: Objects in one answer when all are read: what is held as JSON, text and values at once.
_CHUNK: Final = 50


class NoMemories(ResourceMemories):
    """Remembers no object: what kopf keeps of each is for daemons, indices and retries, not for us.

    That is 1 kB for each object that there is, 30 MB of a thousand networks. `kopf.operator` takes
    it as an argument; its class alone is not among the names that kopf exports.
    """

    async def recall(self, *given: Any, **named: Any) -> ResourceMemory:
        """Return what is known of an object: nothing."""
        return await super().recall(*given, **{**named, "ephemeral": True})


def make_registry(mark: Mark) -> kopf.OperatorRegistry:
    """Return the handlers: each marks the network that an object belongs to."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**given: Any) -> Any:
        return log_in((PLURAL, *(kind.plural for kind in OWN_KINDS)), **given)

    generations: dict[str, Any] = {}

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def note_network(
        type: str | None,  # noqa: A002 - kopf's name for it
        uid: str | None,
        meta: Mapping[str, Any],
        **given: Any,
    ) -> None:
        # Of a status we are the only writer, and what we have just told is no reason to look.
        is_told = type == "MODIFIED" and generations.get(uid or "") == meta.get("generation")
        generations[uid or ""] = meta.get("generation")
        if type == "DELETED":
            generations.pop(uid or "", None)
        if not is_told:
            mark(given["namespace"] or "", given["name"] or "", type is not None)

    for kind in OWN_KINDS:
        _watch_children(registry, kind, mark)
    return registry


def _watch_children(registry: kopf.OperatorRegistry, kind: Kind, mark: Mark) -> None:
    @kopf.on.event(kind.api_version, kind.plural, registry=registry, id=f"note-{kind.plural}")
    async def note_child(
        type: str | None,  # noqa: A002 - kopf's name for it
        namespace: str | None,
        labels: Mapping[str, str],
        **_: Any,
    ) -> None:
        if INSTANCE in labels:
            mark(namespace or "", labels[INSTANCE], type is not None)


def configure(settings: kopf.OperatorSettings, *, all_namespaces: bool) -> None:
    """Set kopf's settings: it only watches, and of others' objects it sees none."""
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    settings.networking.request_timeout = REQUEST_TIMEOUT_S
    settings.networking.connect_timeout = REQUEST_TIMEOUT_S / 3
    settings.watching.inactivity_timeout = _SILENT_S
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = _CHUNK
    settings.queueing.worker_limit = 64
    settings.queueing.idle_timeout = _HELD_S
    # Without the right to see the cluster's namespaces there is nothing to scan for.
    settings.scanning.disabled = not all_namespaces
    selector = f"{MANAGED_BY}={FIELD_MANAGER}"
    for kind in OWN_KINDS:
        group, _, version = kind.api_version.rpartition("/")
        key = (group, version, kind.plural) if group else (version, kind.plural)
        settings.watching.label_selectors[key] = selector
