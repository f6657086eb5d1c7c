"""What a database's error means for a write: try later, or never; and how people are told of it."""

from __future__ import annotations

import os
from typing import Final

import asyncpg

from gossip_price.adapters.postgres.connection import (
    CONNECT_TIMEOUT_S,
    DatabaseUrlError,
    describe_server,
)

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


def describe_unusable(url: str, error: BaseException) -> str:
    """Say why the database of `url` cannot be used, whose address it is, and what helps."""
    if isinstance(error, DatabaseUrlError):
        return str(error)
    server = describe_server(url)
    if isinstance(error, TimeoutError):
        return (
            f"Postgres at {server} did not answer within {CONNECT_TIMEOUT_S:g} s: correct host and"
            " port of the URL, or let us through to it"
        )
    if isinstance(error, OSError):
        # asyncio's own text is of sockets and calls; a resolver's numbers are not the system's.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        return f"no Postgres answers at {server} ({reason}): start it, or correct the URL"
    return f"Postgres at {server}: {describe(error)}"
