"""The schema's history, run by alembic; `migrate.py` is the door to it."""
