"""Logs for people and machines: `setup` says how lines look, `notes` what the machine tells."""

from gossip_price.adapters.logs.notes import NoteLogger, format_price
from gossip_price.adapters.logs.setup import configure_logs, redact

__all__ = ["NoteLogger", "configure_logs", "format_price", "redact"]
