"""What the transport counts, as plain integers that only grow."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Counters:
    """Written on the trio thread, read anywhere."""

    published: int = 0
    delivered: int = 0
    dropped: int = 0
    rejected: int = 0
    malformed: int = 0
    validator_errors: int = 0
    refused_peers: int = 0
    bans: int = 0
    dials: int = 0
    redials: int = 0
    dial_failures: int = 0
    dead_connections: int = 0
    announcements: int = 0
    asked: int = 0
    unanswered: int = 0
    answered: int = 0
    refused_questions: int = 0

    def snapshot(self) -> dict[str, int]:
        """Return all of them by name."""
        return asdict(self)
