"""A network's database as those outside see it: through a port-forward, reading only."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from e2e.cluster import Cluster
from e2e.port_forward import PortForward
from e2e.waiting import eventually

#: What is in the way while a pod of the database comes and goes.
_TROUBLE: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
_ASK_S: Final = 10.0


@dataclass(frozen=True)
class StoredPrice:
    """A row of `prices`, with the signers of the row and of what came later."""

    id: str
    pair: str
    round: int
    price: str
    epoch: str
    first_signer: str
    signers: frozenset[str]
    writer: str
    #: Of whose prices the writer's own observation is the median.
    sources: tuple[str, ...]
    #: When the row was inserted, Unix seconds of the database's clock.
    created: float


class Database:
    """Reads prices. `secret_name` holds the URL as the nodes know it."""

    def __init__(
        self, cluster: Cluster, namespace: str, service: str, secret_name: str, key: str = "url"
    ) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._secret_name, self._key = secret_name, key
        self._forward = PortForward(cluster, namespace, f"svc/{service}", 5432)

    def get_url(self) -> str:
        """Return the URL that leads to the database from here. Raises ConnectionError."""
        secret = self._cluster.api.get("secrets", self._secret_name, self._namespace)
        inside = urlsplit(base64.b64decode(secret["data"][self._key]).decode())
        port = self._forward.open()
        netloc = f"{inside.username}:{inside.password}@127.0.0.1:{port}"
        return inside._replace(netloc=netloc).geturl()

    def close(self) -> None:
        """End the port-forward."""
        self._forward.close()

    def try_read(self) -> list[StoredPrice] | None:
        """Return all prices by round; None while the database does not answer."""
        rows = self._try_fetch(_PRICES)
        return None if rows is None else [_read(row) for row in rows]

    def read(self, deadline_s: float = 120) -> list[StoredPrice]:
        """Return all prices by round, as soon as the database answers."""
        found = eventually(
            "the database answers", lambda: _boxed(self.try_read()), deadline_s=deadline_s
        )
        prices: list[StoredPrice] = found[0]
        return prices

    def count_epochs(self) -> int:
        """Return how many epochs stand in the database."""
        rows = eventually(
            "the database answers", lambda: _boxed(self._try_fetch("SELECT 1 FROM epochs"))
        )
        return len(rows[0])

    def wait_for_price(self, *, after: int = 0, deadline_s: float = 180) -> StoredPrice:
        """Return the first price that is stored of a round after `after` (Unix s)."""

        def ask() -> StoredPrice | None:
            found = (price for price in self.try_read() or () if price.round > after)
            return next(found, None)

        return eventually(f"a price of a round after {after} is stored", ask, deadline_s)

    def _try_fetch(self, statement: str) -> list[Any] | None:
        try:
            return asyncio.run(_fetch(self.get_url(), statement))
        except _TROUBLE:
            # The pod behind a forward that looks alive may be gone.
            self._forward.close()
            return None


_PRICES: Final = """
SELECT id, pair, round, price::text, epoch, first_signer, writer, source::text AS source,
       extract(epoch FROM created_time)::float8 AS created,
       sign_data::text AS sign_data,
       ARRAY(SELECT signer FROM signatures WHERE signatures.id = prices.id) AS late
FROM prices ORDER BY round, pair, id
"""


async def _fetch(url: str, statement: str) -> list[Any]:
    async with asyncio.timeout(_ASK_S):
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(statement))
        finally:
            connection.terminate()


def _read(row: Any) -> StoredPrice:
    signers = {entry["signer"] for entry in json.loads(row["sign_data"])} | set(row["late"])
    same = ("id", "pair", "round", "price", "epoch", "first_signer", "writer", "created")
    return StoredPrice(
        **{name: row[name] for name in same},
        signers=frozenset(signers),
        sources=tuple(json.loads(row["source"] or "[]")),
    )


def _boxed(found: Any) -> list[Any] | None:
    """An empty answer is an answer, too."""
    return None if found is None else [found]


def check_nobody_signed_twice(prices: Iterable[StoredPrice]) -> None:
    """A round of a pair has one price, and who signed it signed no other."""
    counted = Counter((price.pair, price.round) for price in prices)
    twice = sorted(key for key, count in counted.items() if count > 1)
    assert not twice, f"rounds with two prices: {twice}"


def find_lost_rounds(
    prices: Iterable[StoredPrice], interval_s: int, *, first: int | None = None
) -> list[int]:
    """Return the rounds between `first` (or the first stored) and the last that have no price."""
    rounds = {price.round for price in prices}
    if not rounds:
        return []
    begin = min(rounds) if first is None else first
    return [number for number in range(begin, max(rounds), interval_s) if number not in rounds]
