"""What a database's error means for a write: try later, or never. A table by SQLSTATE."""

from __future__ import annotations

from typing import Final

import asyncpg

from gossip_price.adapters.postgres.connection import DatabaseUrlError

#: What a read may raise when the database, the network or the URL is at fault.
READ_TROUBLE: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # A connection that the server ends while a statement begins: the end is half read.
    asyncpg.InternalClientError,
    DatabaseUrlError,
    OSError,  # the network; TimeoutError is one
)
#: The same for a write, where a value may be one that cannot be encoded.
TROUBLE: Final = (*READ_TROUBLE, ValueError)

#: SQLSTATE classes in which the database judged the rows and will judge the same tomorrow.
#: Every other class is about the database: gone (08, 57), full (53), read-only (25), busy (40, 55),
#: broken (58, XX), or set up wrongly (28, 3D, 42), which somebody mends. The doubtful case is
#: "later", because waiting loses nothing and refusing wrongly sets a good row aside.
REFUSAL_CLASSES: Final = {
    "21": "cardinality violation",
    "22": "data exception: a value out of range or of the wrong shape",
    "23": "integrity constraint violation",
    "44": "with check option violation",
    "54": "program limit exceeded: a value too long",
    "P0": "raised by a trigger of the database's owner",
}

_DETAIL_MAX: Final = 300


def is_refusal(error: BaseException) -> bool:
    """Tell whether the rows are at fault (True) or the database, the network or the URL."""
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "sqlstate", None) or "")[:2] in REFUSAL_CLASSES
    return isinstance(error, ValueError) and not isinstance(error, DatabaseUrlError)


def describe(error: BaseException) -> str:
    """Say in one bounded line what happened."""
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    if isinstance(error, asyncpg.PostgresError):
        code = getattr(error, "sqlstate", None)
        text = f"SQLSTATE {code}: {text}" if code else text
    return (text or type(error).__name__)[:_DETAIL_MAX]
