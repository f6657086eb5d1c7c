"""`gossip-price migrate`: bring a database to this version's schema."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from gossip_price.adapters.postgres.connection import describe_url
from gossip_price.adapters.postgres.errors import TROUBLE, describe, describe_unusable
from gossip_price.adapters.postgres.migrate import migrate

DONE: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql://…; default: GP_DATABASEURL, or the file that GP_DATABASEURL_FILE names",
    )
    parser.epilog = (
        "Any number may start it at once: it runs once. Exit code 0: the schema is there; "
        "1: a migration failed and changed nothing; 2: the database cannot be reached or no URL "
        "is given."
    )


def run(options: argparse.Namespace) -> int:
    """Migrate and say what was done."""
    try:
        url = _read_url() if options.database is None else options.database
        where = describe_url(url)
    except (ValueError, OSError) as error:
        print(f"gossip-price migrate: {describe(error)}", file=sys.stderr)
        return UNUSABLE
    try:
        done = asyncio.run(migrate(url))
    except SQLAlchemyError as error:
        # The statement's own error; SQLAlchemy adds a page of SQL to it.
        cause = error.__cause__ or error
        print(f"gossip-price migrate: nothing was changed: {describe(cause)}", file=sys.stderr)
        return FAILED
    except TROUBLE as error:
        print(f"gossip-price migrate: {describe_unusable(url, error)}", file=sys.stderr)
        return UNUSABLE
    if done.before == done.after:
        print(f"{where}: the schema is at revision {done.after} already")
    elif done.before is None:
        print(f"{where}: made the schema, revision {done.after}")
    else:
        print(f"{where}: schema brought from revision {done.before} to {done.after}")
    print(f"store {done.store_id.hex()}")
    return DONE


def _read_url() -> str:
    url = os.environ.get("GP_DATABASEURL", "").strip()
    file = os.environ.get("GP_DATABASEURL_FILE", "").strip()
    if not url and file:
        url = Path(file).read_text(encoding="utf-8").strip()
    if not url:
        raise ValueError("no database: give --database URL, GP_DATABASEURL or GP_DATABASEURL_FILE")
    return url
