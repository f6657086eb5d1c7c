"""`gossip-price verify`: prove stored prices again, with no network running.

Reads, counts and prints; `core.proof` decides, and `adapters.shown` of what stands beside a report
in JSON. Stops at the first false row, because one is
enough to distrust the rest; `--all` and `--json` go on and name each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from gossip_price.adapters.postgres.connection import (
    DatabaseUrlError,
    describe_url,
    open_connection,
)
from gossip_price.adapters.postgres.errors import READ_TROUBLE, describe, describe_unusable
from gossip_price.adapters.postgres.read import read_epochs, read_rows
from gossip_price.adapters.price_file import open_prices
from gossip_price.adapters.shown import check_shown
from gossip_price.core.price import PriceFormatError
from gossip_price.core.proof import (
    ClaimedRow,
    EpochBook,
    UnprovenError,
    parse_hash,
    verify_price,
    verify_row,
)
from gossip_price.network.document import Document, DocumentError, NetworkFile

PROVEN: Final = 0
UNPROVEN: Final = 1
UNCHECKED: Final = 2

#: Failures kept for --json; beyond it they are only counted.
_FAILURES_MAX: Final = 1_000
#: Epochs that JSON prices may carry; beyond it the input is not of one network's life.
_EPOCHS_MAX: Final = 10_000
_READ_TIMEOUT_S: Final = 120.0
_NOTHING_NAMED: Final = (
    "nothing is named that could be: give a FILE of prices in JSON, - for standard input, or"
    " --database URL"
)


class UncheckableError(Exception):
    """The check could not be made; says why and what helps."""


class _StopError(Exception):
    """The first false row was found and nobody asked for more."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.usage = (
        "%(prog)s (FILE | - | --database URL) [--network FILE | --trust HASH] [--since TIME]"
        " [--all] [--json]"
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--database", metavar="URL", help="check every row of table prices")
    given.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="check JSON, as the API gives it: one price, a list, or a price a line; "
        "- reads standard input",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--network", metavar="FILE", help="network file or document that you trust (JSON)"
    )
    trust.add_argument(
        "--trust",
        metavar="HASH",
        help="hash of an epoch that you trust; it vouches for the epochs before it too",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only rounds that began at or after this time, by the row's own word (ISO 8601; "
        "UTC unless it says otherwise)",
    )
    parser.add_argument("--all", action="store_true", help="go on after a false row")
    parser.add_argument("--json", action="store_true", help="print one JSON object; implies --all")
    parser.epilog = (
        "Exit code 0: all proven (of an empty table or list: there is nothing to prove); 1: not; "
        "2: could not check."
    )


def run(options: argparse.Namespace) -> int:
    """Check what the options name; print the result; return 0 proven, 1 not, 2 not checked."""
    check = Check(stop_early=not (options.all or options.json), quiet=options.json)
    try:
        documents, trusted = _read_trust(options)
        since = _parse_time(options.since)
        if options.database is None and options.file is None:
            raise UncheckableError(_NOTHING_NAMED)
        if options.database is not None:
            asyncio.run(_check_database(options.database, documents, trusted, since, check))
        else:
            _check_json(options.file, documents, trusted, since, check)
    except UncheckableError as error:
        if options.json:
            print(json.dumps({"proven": None, "error": str(error)}))
        else:
            print(f"gossip-price verify: could not check: {error}", file=sys.stderr)
        return UNCHECKED
    except KeyboardInterrupt:
        print("gossip-price verify: interrupted, not everything was checked", file=sys.stderr)
        return UNCHECKED
    print(json.dumps(check.to_mapping()) if options.json else check.to_text())
    return UNPROVEN if check.failed else PROVEN


class Check:
    """What was checked so far, and what was found false."""

    def __init__(self, *, stop_early: bool, quiet: bool) -> None:
        self.place = ""
        self.rows = 0
        self.signatures = 0
        self.failed = 0
        self.failures: list[dict[str, str]] = []
        self.epochs: set[bytes] = set()
        self.first: int | None = None
        self.last: int | None = None
        self.book = EpochBook(())
        self._stop_early = stop_early
        self._quiet = quiet
        self._started = time.monotonic()

    def count(self, signers: int, document: Document, round_: int) -> None:
        """Count one proven price."""
        self.rows += 1
        self.signatures += signers
        self.epochs.add(document.hash)
        self.first = round_ if self.first is None else min(self.first, round_)
        self.last = round_ if self.last is None else max(self.last, round_)

    def fail(self, id_: str, error: UnprovenError, *, counted: bool = False) -> None:
        """Take down one false price and, unless asked to go on, end the check."""
        self.rows += not counted
        self.failed += 1
        if len(self.failures) < _FAILURES_MAX:
            self.failures.append({"id": id_, "reason": error.reason, "detail": error.detail})
        if not self._quiet:
            print(f"NOT PROVEN {id_}\n  {error.reason}: {error.detail}")
        if self._stop_early:
            raise _StopError

    def to_mapping(self) -> dict[str, Any]:
        """Return the result for --json."""
        newest = self.book.newest
        return {
            "proven": self.failed == 0,
            "rows": self.rows,
            "signatures": self.signatures,
            "epochs": len(self.epochs),
            "from": self.first,
            "to": self.last,
            "seconds": round(time.monotonic() - self._started, 3),
            "relativeTo": "own epochs" if self.book.is_relative else "trust",
            "newestEpoch": None if newest is None else "0x" + newest.hash.hex(),
            "failed": self.failed,
            "failures": self.failures,
        }

    def to_text(self) -> str:
        """Return the result for people."""
        seconds = time.monotonic() - self._started
        lines = [
            f"checked {self.place}: {_count(self.rows, 'row')}, "
            f"{_count(self.signatures, 'signature')}, {_count(len(self.epochs), 'epoch')}"
            f"{self._get_range()}, in {seconds:.1f} s"
        ]
        if self.rows == 0:
            lines.append("there are no prices to prove")
        elif self.failed:
            more = ", stopped at the first (--all goes on)" if self._stop_early else ""
            lines.append(f"NOT all proven: {_count(self.failed, 'false row')}{more}")
        else:
            lines.append("all proven")
        newest = self.book.newest
        if self.book.is_relative and newest is not None:
            lines.append(
                f"relative to the epochs found there, which nobody else vouched for; the newest is "
                f"epoch {newest.epoch}\n  0x{newest.hash.hex()}\n"
                "  compare it with what the members publish, or give --trust HASH or --network FILE"
            )
        return "\n".join(lines)

    def _get_range(self) -> str:
        if self.first is None or self.last is None:
            return ""
        first, last = (datetime.fromtimestamp(t, UTC) for t in (self.first, self.last))
        return f", rounds {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"


async def _check_database(
    url: str,
    documents: list[Document],
    trusted: set[bytes] | None,
    since: datetime | None,
    check: Check,
) -> None:
    try:
        check.place = describe_url(url)
        connection = await open_connection(url, command_timeout_s=_READ_TIMEOUT_S)
    except READ_TROUBLE as error:
        raise UncheckableError(_describe_trouble(url, error)) from error
    try:
        # One moment's picture, and nothing that we could change by mistake.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found, broken = await read_epochs(connection)
            check.book = EpochBook([*documents, *found], trusted)
            _require_trust(check.book, trusted, found)
            async with aclosing(read_rows(connection, since=since)) as rows:
                async for row in rows:
                    _check_row(row, broken, check)
    except _StopError:
        pass
    except asyncpg.UndefinedTableError as error:
        raise UncheckableError(
            f"{check.place} has no prices: {describe(error)}; was gossip-price migrate run there?"
        ) from error
    except READ_TROUBLE as error:
        raise UncheckableError(_describe_trouble(url, error)) from error
    finally:
        connection.terminate()


def _check_row(row: ClaimedRow, broken: dict[str, str], check: Check) -> None:
    try:
        epoch = row.epoch or ""
        try:
            document = check.book.find(parse_hash(epoch), row.round or 0)
        except ValueError as error:
            if isinstance(error, UnprovenError):
                if epoch in broken:
                    raise UnprovenError("epoch_false", f"{epoch}: {broken[epoch]}") from error
                raise
            raise UnprovenError("epoch_malformed", str(error)) from error
        signers = verify_row(row, document)
    except UnprovenError as error:
        check.fail(row.id, error)
    else:
        check.count(len(signers), document, row.round or 0)


def _check_json(
    name: str,
    documents: list[Document],
    trusted: set[bytes] | None,
    since: datetime | None,
    check: Check,
) -> None:
    """Check prices that carry their documents.

    Epochs come in any order with the prices, so which of them are vouched for is decided at the
    end, for the newest price of each.
    """
    check.place = "standard input" if name == "-" else name
    known = {document.hash: document for document in documents}
    newest: dict[bytes, tuple[int, str]] = {}
    try:
        with open_prices(name) as prices:
            for price in prices:
                if since is not None and price.report.round < since.timestamp():
                    continue
                if price.document is not None:
                    known.setdefault(price.document.hash, price.document)
                if len(known) > _EPOCHS_MAX:
                    raise UncheckableError(f"{check.place}: more than {_EPOCHS_MAX} epochs")
                try:
                    document = EpochBook(filter(None, [known.get(price.report.epoch)])).find(
                        price.report.epoch
                    )
                    if document.network_id != price.network_id:
                        raise UnprovenError("network_mismatch", "networkId is not the epoch's")
                    check_shown(price.shown, price.report)
                    signers = verify_price(price.id, price.report, price.signatures, document)
                except UnprovenError as error:
                    check.fail(price.id, error)
                else:
                    last = (price.report.round, price.id)
                    newest[document.hash] = max(last, newest.get(document.hash, last))
                    check.count(len(signers), document, price.report.round)
        check.book = EpochBook(known.values(), trusted)
        for epoch, (round_, id_) in newest.items():
            try:
                check.book.find(epoch, round_)
            except UnprovenError as error:
                check.fail(id_, error, counted=True)
    except _StopError:
        check.book = EpochBook(known.values(), trusted)
    except (OSError, PriceFormatError) as error:
        raise UncheckableError(f"{check.place}: {_describe_unread(error)}") from error


def _describe_unread(error: OSError | PriceFormatError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; give one of prices in JSON, or - for standard input"
    return str(getattr(error, "strerror", None) or error)


def _describe_trouble(url: str, error: BaseException) -> str:
    """Say which database is in trouble, why, and what may help."""
    said = describe_unusable(url, error)
    if isinstance(error, DatabaseUrlError):
        return f"--database: {said}"
    if isinstance(error, OSError):
        return f"{said}. The database of `gossip-price up` (make run) is there only while that runs"
    return said


def _read_trust(options: argparse.Namespace) -> tuple[list[Document], set[bytes] | None]:
    """Return the documents that the user brings, and the hashes that the user trusts."""
    if options.trust is not None:
        try:
            return [], {parse_hash(options.trust)}
        except ValueError as error:
            raise UncheckableError(f"--trust: {error}") from error
    if options.network is None:
        return [], None
    try:
        raw = Path(options.network).read_bytes()
    except OSError as error:
        raise UncheckableError(f"--network {options.network}: {error.strerror}") from error
    try:
        documents = [Document.parse(raw)]
    except DocumentError:
        try:
            documents = list(NetworkFile.parse(raw).epochs)
        except DocumentError as error:
            raise UncheckableError(f"--network {options.network}: {error}") from error
    return documents, {document.hash for document in documents}


def _require_trust(book: EpochBook, trusted: set[bytes] | None, found: list[Document]) -> None:
    """Refuse to go on if no trusted epoch is known here while others are."""
    if trusted and found and not any(epoch in book for epoch in trusted):
        newest = book.newest
        there = "" if newest is None else f"; the newest there is 0x{newest.hash.hex()}"
        raise UncheckableError(
            f"--trust: no epoch in this database has the hash 0x{next(iter(trusted)).hex()}{there}"
        )


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UncheckableError(
            f"--since: {text!r} given, allowed: ISO 8601, as 2026-11-23 or 2026-11-23T09:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
