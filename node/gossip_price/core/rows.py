"""What the audit reads from the table and has written there: claims, and the truth in their place.

Nothing found is believed. Ids are 32 bytes here; a row whose id is no such hex text is not found.
"""

from __future__ import annotations

from msgspec import Struct

from gossip_price.core.proof import ClaimedRow
from gossip_price.core.types import StoredRow

Key = tuple[int, bytes]
"""(round, id): the order in which rows and journal entries are read, page by page."""


class RowRange(Struct, frozen=True):
    """Rows after `after`, up to `until` inclusive (None: to the end), at most `limit`, by key.

    By the round that the row's own column names, which may be false.
    """

    after: Key
    until: Key | None
    limit: int


class FoundRow(Struct, frozen=True):
    """A row as it stands, and the signatures that came later.

    `late` is JSON text like sign_data, None when there are none. `version` is the database's own
    name for this state of the row: a correction of it touches no later one.
    """

    id: bytes
    claim: ClaimedRow
    late: str | None
    version: str


class Correction(Struct, frozen=True):
    """Move a row that is not what its id says into quarantine, if it is still in this version.

    `truth` is inserted in the same transaction, also where the false row is gone already; None
    when we have none. `reason` is a short label, `by` the address of who says so.
    """

    id: bytes
    version: str
    reason: str
    truth: StoredRow | None
    by: bytes


class LateSignature(Struct, frozen=True):
    """A member's signature (65 bytes) over `id` that came after the row was settled."""

    id: bytes
    signer: bytes
    signature: bytes
