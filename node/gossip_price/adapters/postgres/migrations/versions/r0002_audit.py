"""What the audit needs: a place for false rows, and rows in the order in which it reads them."""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS: Final = (
    """
    CREATE TABLE quarantine (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL,
        found jsonb NOT NULL,
        reason text NOT NULL,
        moved_by text NOT NULL,
        moved_time timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX quarantine_id ON quarantine (id)",
    # By bytes, whatever the database's own collation is: nodes compare ids by bytes.
    'CREATE INDEX prices_round_id ON prices (round, id COLLATE "C")',
)

_COMMENTS: Final = {
    "TABLE quarantine": "Rows that stood in prices and were not what their id says: somebody "
    "changed them, or took the place of a true one. Look for who has the password.",
    "COLUMN quarantine.number": "In the order in which they were moved here.",
    "COLUMN quarantine.id": "The id under which the row stood; the true row, where one is known, "
    "stands there now.",
    "COLUMN quarantine.found": "The whole row as it was found.",
    "COLUMN quarantine.reason": "Why it proves nothing; the labels of gossip-price verify.",
    "COLUMN quarantine.moved_by": "LOCAL, not signed: address (EIP-55) of the node that moved it.",
    "COLUMN quarantine.moved_time": "When it was moved (database clock).",
}


def upgrade() -> None:
    """Make the table and the index, and say what each column is."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for thing, words in _COMMENTS.items():
        quoted = words.replace("'", "''")
        op.execute(f"COMMENT ON {thing} IS '{quoted}'")
