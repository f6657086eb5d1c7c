"""What a PriceNetwork's status may hold, and the columns that `kubectl get` makes of it. Pure."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def _column(name: str, path: str, kind: str, said: str, priority: int = 0) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path, "description": said}
    if priority:
        column["priority"] = priority
    return column


_READY: Final = '.status.conditions[?(@.type=="Ready")]'
PRINTER_COLUMNS: Final = [
    _column("Ready", f"{_READY}.status", "string", "as its newest generation wants it"),
    _column("Nodes", ".status.readyNodes", "integer", "nodes that are ready"),
    _column("Signers", ".status.minimumSigners", "integer", "members that must sign a price"),
    _column("Last price", ".status.lastPrice.price", "string", "the first pair's newest price"),
    _column("Age of last price", ".status.lastPrice.time", "date", "time since that price"),
    _column("Reason", f"{_READY}.reason", "string", "why Ready says so", priority=1),
    _column("Age", ".metadata.creationTimestamp", "date", "time since it was made", priority=1),
]


def make_status_schema() -> Schema:
    """Return the structural schema of the status."""
    return {
        "type": "object",
        "description": "what the network is; written by the operator",
        "properties": {
            "observedGeneration": _integer("the generation that this status tells of"),
            "conditions": {
                "type": "array",
                "description": "Ready, Reconciling and Stalled as kstatus has them, and"
                " PostgresReady, BootstrapReady, NodesReady, PeersConnected, PricesFlowing",
                "maxItems": 32,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "description": "one aspect of the network",
                    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                    "properties": {
                        "type": _text("the aspect's name"),
                        "status": {
                            "type": "string",
                            "description": "Unknown where nobody could be asked",
                            "enum": ["True", "False", "Unknown"],
                        },
                        "reason": _text("one word for it"),
                        "message": _text("what it is, and what to do about it"),
                        "observedGeneration": _integer("the generation that it tells of"),
                        "lastTransitionTime": _time("since when status is what it is"),
                    },
                },
            },
            "nodes": _integer("nodes that there are; replicas of the scale subresource"),
            "readyNodes": _integer("nodes that are ready"),
            "minimumSigners": _integer("members that must sign, in the epoch in force"),
            "selector": _text("selects the nodes' pods, for the scale subresource"),
            "networkId": _text("the network's id, part of everything that is signed"),
            "epoch": {
                "type": "object",
                "description": "the network document in force",
                "properties": {
                    "number": _integer("its number, from 1"),
                    "hash": _text("the hash that everything signed in it names"),
                    "members": _integer("members on its roster"),
                    "start": _time("since when it is in force"),
                },
            },
            "lastPrice": {
                "type": "object",
                "description": "the newest proven price of the first pair, told once a round",
                "properties": {
                    "pair": _text("base and quote"),
                    "price": _text("in the quote currency"),
                    "round": _integer("the round's start, Unix seconds"),
                    "signers": _integer("members that had signed it when it was told"),
                    "time": _time("when it was observed"),
                },
            },
        },
    }


def _integer(said: str) -> Schema:
    return {"type": "integer", "format": "int64", "description": said}


def _text(said: str) -> Schema:
    return {"type": "string", "description": said}


def _time(said: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": said}
