"""Database URLs, and what a database's error means for a write."""

from __future__ import annotations

import errno
import socket

import asyncpg
import pytest

from gossip_price.adapters.postgres.connection import (
    DatabaseUrlError,
    describe_url,
    normalize_url,
)
from gossip_price.adapters.postgres.errors import (
    TROUBLE,
    describe,
    describe_unusable,
    is_refusal,
)


@pytest.mark.parametrize(
    ("sqlstate", "refused"),
    [
        ("08006", False),  # connection failure
        ("0A000", False),  # feature not supported
        ("21000", True),  # cardinality violation
        ("22003", True),  # numeric value out of range
        ("22021", True),  # a NUL in a text
        ("23502", True),  # not null violation
        ("23505", True),  # unique violation
        ("23514", True),  # check violation
        ("25006", False),  # read-only transaction: a standby
        ("26000", False),  # prepared statement unknown: a pooler between
        ("28P01", False),  # wrong password
        ("3D000", False),  # no such database
        ("40001", False),  # serialization failure
        ("40P01", False),  # deadlock
        ("42501", False),  # insufficient privilege
        ("42703", False),  # undefined column: an older schema
        ("42P01", False),  # undefined table
        ("44000", True),  # with check option
        ("53100", False),  # disk full
        ("53200", False),  # out of memory
        ("53300", False),  # too many connections
        ("54000", True),  # program limit exceeded
        ("55P03", False),  # lock not available
        ("57014", False),  # statement cancelled
        ("57P01", False),  # admin shutdown
        ("57P03", False),  # cannot connect now
        ("58030", False),  # I/O error
        ("P0001", True),  # a trigger's own refusal
        ("XX001", False),  # data corrupted
        ("ZZ999", False),  # unheard of
    ],
)
def test_a_row_is_refused_only_where_the_database_judged_the_row(
    sqlstate: str, refused: bool
) -> None:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "words"})
    assert is_refusal(error) is refused
    assert sqlstate in describe(error)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ConnectionResetError("gone"), False),
        (TimeoutError(), False),
        (asyncpg.InterfaceError("connection is closed"), False),
        (asyncpg.InternalClientError("another operation is in progress"), False),
        (DatabaseUrlError("which"), False),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), True),
    ],
)
def test_trouble_of_the_network_is_later_and_trouble_of_a_value_is_never(
    error: Exception, refused: bool
) -> None:
    assert isinstance(error, TROUBLE)
    assert is_refusal(error) is refused


def test_a_description_is_one_bounded_line() -> None:
    text = describe(ConnectionError("word\n" * 1000))
    assert "\n" not in text
    assert len(text) == 300


@pytest.mark.parametrize(
    ("url", "normal", "place"),
    [
        ("postgres://u:p@h:5433/d", "postgresql://u:p@h:5433/d", "d at h:5433"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d", "d at h"),
        (" postgresql://h/d\n", "postgresql://h/d", "d at h"),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg", "d at /run/pg"),
        ("postgresql://u@/d?host=/a%20b", "postgresql://u@/d?host=%2Fa%20b", "d at /a b"),
        (
            "postgresql://h/d?sslmode=verify-full&channel_binding=require&connect_timeout=3",
            "postgresql://h/d?sslmode=verify-full",
            "d at h",
        ),
        (
            "postgresql://u:p%40%2F@h1:1,h2:2/d",
            "postgresql://u:p%40%2F@h1:1,h2:2/d",
            "d at h1:1,h2:2",
        ),
    ],
)
def test_a_url_is_read_in_every_usual_spelling(url: str, normal: str, place: str) -> None:
    assert normalize_url(url) == normal
    assert describe_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/d",
        "mysql://u:secret@h/d",
        "postgresql://u:sec@ret@h/d",
        "postgresql://u:sec#ret@h/d",
        "postgresql://u:secret@[h/d",
        "postgresql://u:p?secret@h/d",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        normalize_url(url)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        (
            "postgresql://u:secret@h/d",
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 5432)"),
            "no Postgres answers at h:5432 (Connection refused): start it, or correct the URL",
        ),
        (
            "postgresql://u:secret@h:5999/d",
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "no Postgres answers at h:5999 (Name or service not known): start it, or correct the"
            " URL",
        ),
        (
            "postgresql://postgres@/d?host=/run/pg",
            FileNotFoundError(errno.ENOENT, "No such file or directory"),
            "no Postgres answers at the socket in /run/pg (No such file or directory): start it, or"
            " correct the URL",
        ),
        (
            "postgresql://h1:1,h2/d?port=7",
            TimeoutError(),
            "Postgres at h1:1,h2:7 did not answer within 5 s: correct host and port of the URL, or"
            " let us through to it",
        ),
        (
            "postgresql://u:secret@h/d",
            asyncpg.InvalidCatalogNameError('database "d" does not exist'),
            'Postgres at h:5432: SQLSTATE 3D000: database "d" does not exist',
        ),
        ("mysql://u:secret@h/d", DatabaseUrlError("which"), "which"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_with_its_address_and_the_remedy(
    url: str, error: Exception, said: str
) -> None:
    assert describe_unusable(url, error) == said


def test_a_url_that_is_empty_or_of_another_database_is_told_apart() -> None:
    with pytest.raises(DatabaseUrlError, match="is empty, allowed: postgresql://"):
        normalize_url(" ")
    with pytest.raises(DatabaseUrlError, match="does not begin with postgresql://, allowed"):
        normalize_url("mysql://h/d")
