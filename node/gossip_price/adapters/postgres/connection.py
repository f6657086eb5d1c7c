"""Database URLs and connections: the one place where a URL is read.

Knows the spellings (`postgres://`, `postgresql://`, sslmode, `?host=/socket/folder`), and never
puts a URL or a password into an error. Knows nothing of tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import asyncpg

CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 10.0

URL_ALLOWED: Final = "allowed: postgresql://user:password@host:5432/database (or ?host=/folder)"

#: Settings of libpq's client side. asyncpg would send what it does not know to the server, which
#: refuses it; managed databases hand out URLs with some of these.
_CLIENT_ONLY: Final = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "pgbouncer",
        "require_auth",
        "requirepeer",
        "requiressl",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslsni",
        "tcp_user_timeout",
    }
)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class DatabaseUrlError(ValueError):
    """A URL that names no database. Never repeats the URL: it may hold a password."""


def normalize_url(url: str) -> str:
    """Return `url` as asyncpg understands it. Raises DatabaseUrlError."""
    try:
        parts = urlsplit(url.strip())
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        # The error would repeat a part of the URL, perhaps of the password.
        raise DatabaseUrlError(f"the database URL cannot be read, {URL_ALLOWED}") from None
    if not url.strip():
        raise DatabaseUrlError(f"the database URL is empty, {URL_ALLOWED}")
    if parts.scheme.removesuffix("+asyncpg") not in ("postgres", "postgresql"):
        raise DatabaseUrlError(f"the database URL does not begin with postgresql://, {URL_ALLOWED}")
    if parts.netloc.count("@") > 1 or parts.fragment:
        raise DatabaseUrlError(
            "the database URL cannot be read: write @ # / ? : in a password as %40 %23 %2F %3F %3A"
        )
    kept = [(name, value) for name, value in query if name not in _CLIENT_ONLY]
    question = f"?{urlencode(kept, quote_via=quote)}" if kept else ""
    # Not urlunsplit: it drops the two slashes before an empty host.
    return f"postgresql://{parts.netloc}{parts.path}{question}"


def describe_url(url: str) -> str:
    """Return host and database of `url` for people, without user or password."""
    parts = urlsplit(normalize_url(url))
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "localhost")
    return f"{parts.path.lstrip('/') or 'the default database'} at {host}"


def describe_server(url: str) -> str:
    """Return the address that `url` leads to: host:port (or several), or a socket's folder."""
    parts = urlsplit(normalize_url(url))
    query = dict(parse_qsl(parts.query))
    hosts = parts.netloc.rpartition("@")[2] or query.get("host", "localhost")
    if hosts.startswith("/"):
        return f"the socket in {hosts}"
    port = query.get("port", "5432")
    return ",".join(
        host if re.search(r":\d+$", host) else f"{host}:{port}" for host in hosts.split(",")
    )


async def open_connection(
    url: str,
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
    settings: Mapping[str, str] | None = None,
) -> Connection:
    """Connect. Raises DatabaseUrlError, or one of `errors.TROUBLE`.

    No statement cache: behind pgbouncer the next transaction may run on another server, which
    never heard of our prepared statements; a batch each few seconds needs no cache. No
    statement_timeout at startup either, because pgbouncer refuses unknown startup parameters:
    asyncpg's command timeout cancels the statement from our side.
    """
    normal = normalize_url(url)
    try:
        return await asyncpg.connect(
            normal,
            timeout=connect_timeout_s,
            command_timeout=command_timeout_s,
            statement_cache_size=0,
            server_settings={"application_name": "gossip-price", **(settings or {})},
        )
    except ValueError:
        # A port that is no number: the message repeats it, and it may be half a password.
        raise DatabaseUrlError(f"the database URL cannot be read, {URL_ALLOWED}") from None
