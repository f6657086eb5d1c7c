"""Which revision of the schema this version writes to.

Apart from `migrate.py`, so that a node does not load alembic and SQLAlchemy to compare two words.
"""

from __future__ import annotations

from typing import Final

#: Revisions are numbered with four digits, so that an older node recognizes a newer schema, of
#: which it does not have the module.
SCHEMA_NEEDED: Final = "0002"
