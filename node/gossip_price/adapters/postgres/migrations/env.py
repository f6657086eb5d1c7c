"""Alembic's entry: runs the revisions on the connection that `migrate.py` brings."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
