"""A node's HTTP API without a node: the answers that a page test wants, when it wants them.

It speaks docs/api.md and serves the real live page. Prices are truly signed, by keys that follow
from their number, so that a browser proves them; time begins at a fixed moment and runs on. What
happens next (an observation, a signature, silence) is what the test says; nothing happens by
itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final, Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from gossip_price.adapters.http import AppServer, make_app
from gossip_price.adapters.http.live_page import make_page_routes
from gossip_price.core.price import format_price
from gossip_price.core.types import Report
from gossip_price.network.keys import format_address
from networks import START, SampleNetwork, make_network

Json = dict[str, Any]

INTERVAL_S: Final = 15
SETTLE_S: Final = 30
AFTERNOON: Final = START + 17 * 3600
#: Rounds before the test begins; the first of them starts the epoch, the last are not settled.
ROUNDS_BEFORE: Final = 80
UNSETTLED: Final = 2
HEARTBEAT_MS: Final = 5_000
#: Into the current round when the test begins.
INTO_ROUND_MS: Final = 4_000


def format_ms(ms: float) -> str:
    """Return RFC 3339 with milliseconds, in UTC."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class FakeNode:
    """One node as its API shows it; node 0 of the roster answers."""

    def __init__(self, members: int = 4, *, seed: int = 7) -> None:
        self.network: SampleNetwork = make_network(members, interval=INTERVAL_S, start=AFTERNOON)
        self.document = self.network.document
        self.addresses = [format_address(address) for address in self.document.addresses]
        self.pair = self.document.pairs[0].pair
        self.pairs = [{"pair": self.pair, "decimals": self.document.pairs[0].decimals}]
        self.simulated = False
        self.prices: list[Json] = []
        self.rounds: list[Json] = []
        self.silent: dict[int, int] = {}
        self.isolated: list[int] = []
        self.deaf: list[int] = []
        self.versions = ["0.1.0"] * members
        self.problems: dict[str, str] = {}
        self.database = True
        self.older_problem: str | None = None
        self.unproven = 0
        self.events: list[Json] = []
        self._dice = random.Random(seed)  # noqa: S311  a market, no key
        self._value = 2933.9565
        self._server: AppServer | None = None
        self._streams: set[asyncio.Queue[str | None]] = set()
        self._sequence = 0
        self._began = time.monotonic()
        self._base_ms = 1000 * self.network.round(ROUNDS_BEFORE) + INTO_ROUND_MS
        for index in range(ROUNDS_BEFORE - UNSETTLED):
            self.add_price(index)
        for index in range(ROUNDS_BEFORE - UNSETTLED, ROUNDS_BEFORE):
            self.add_price(index, stored=None)

    # Time

    def now_ms(self) -> float:
        """The node's wall clock: a fixed moment, and what has passed since."""
        return self._base_ms + 1000 * (time.monotonic() - self._began)

    @property
    def round_index(self) -> int:
        """The round that the fixed moment lies in."""
        return ROUNDS_BEFORE

    # What a test makes happen

    def add_price(
        self, index: int, *, stored: bool | None = True, signers: int | None = None
    ) -> Json:
        """Add the price of the `index`-th round, newest first, and return it.

        It is stored, settled (False) or only proven (None, and then in no list yet).
        """
        count = len(self.addresses)
        proposer = index % count
        saw = [self._observe() for _ in self.addresses]
        report = self.network.report(
            index,
            saw[proposer],
            proposer,
            pair=self.pair,
            observed_at=self.network.round(index) + 1,
        )
        missing = index % 7 == 3 and count > self.document.minimum_signers
        members = [(proposer + step) % count for step in range(count)]
        members = members[: signers or (count - 1 if missing else count)]
        price = self.make_price(report, members, stored=stored is True)
        if stored is not None:
            self.prices.insert(0, price)
        record = self._make_round(index)
        record["state"] = {True: "stored", False: "settled", None: "proven"}[stored]
        record["observations"] = [
            {"member": self.addresses[member], "price": self._scale(value)}
            for member, value in enumerate(saw)
        ]
        record["proposals"] = [self._make_proposal(report, members, record["state"])]
        self.rounds.insert(0, record)
        return price

    def make_price(self, report: Report, members: list[int], *, stored: bool = True) -> Json:
        """Return the API's JSON of a report that `members` signed."""
        signatures = [
            (self.document.addresses[member], self.network.sign(report, member))
            for member in members
        ]
        settled_ms = 1000 * (report.round + 2 + SETTLE_S)
        local = {
            "sources": ["feed"],
            "spreadBp": 0,
            "lastSignedAt": format_ms(settled_ms - 1000 * SETTLE_S),
            "writer": None,
        }
        return {
            **format_price(report, signatures, self.document, local=local),
            "pair": report.pair,
            "price": self._scale(report.price),
            "time": format_ms(1000 * report.round),
            "observedAt": format_ms(1000 * report.observed_at),
            "storedAt": format_ms(settled_ms + 200) if stored else None,
            "state": "stored" if stored else "settled",
        }

    def begin_round(self, index: int) -> Json:
        """Begin a round in which nobody has seen anything yet."""
        record = self._make_round(index)
        self.rounds.insert(0, record)
        return record

    def observe(self, record: Json, member: int) -> None:
        """Let a member tell what it saw."""
        seen = {"member": self.addresses[member], "price": self._scale(self._observe())}
        record["observations"].append(seen)
        record["state"] = "observed"
        self.emit("observation", self._describe(record, **seen))

    def propose(self, record: Json, member: int) -> Report:
        """Let a member propose what it saw; its own signature comes with it."""
        index = (record["round"] - self.document.start) // INTERVAL_S
        report = self.network.report(
            index, self._observe(), member, pair=self.pair, observed_at=record["round"] + 1
        )
        record["proposals"].append(self._make_proposal(report, [member], "proposed"))
        record["state"] = "proposed"
        self._tell(record, "proposal", member)
        return report

    def sign(self, record: Json, member: int) -> None:
        """Let a member's signature arrive; the quorum proves the proposal."""
        proposal = record["proposals"][0]
        proposal["signers"].append(self.addresses[member])
        self._tell(record, "signature", member)
        if len(proposal["signers"]) == proposal["needed"]:
            now = self.now_ms()
            proposal["provenAt"] = format_ms(now)
            proposal["settlesAt"] = format_ms(now + 1000 * SETTLE_S)
            record["state"] = "proven"
            self._tell(record, "proven", None)

    def store(self, record: Json, report: Report) -> Json:
        """Settle and store what was proven."""
        proposal = record["proposals"][0]
        members = [self.addresses.index(address) for address in proposal["signers"]]
        price = self.make_price(report, members)
        self.prices.insert(0, price)
        proposal["settledAt"] = proposal["storedAt"] = format_ms(self.now_ms())
        record["state"] = "stored"
        self._tell(record, "stored", None)
        return price

    def lose(self, record: Json, reason: str) -> None:
        """Let a round end without a price."""
        record["state"] = "lost"
        record["reason"] = reason
        self.emit("lost", self._describe(record))

    def silence(self, member: int, ms: int = 194_000) -> None:
        """Let a member be silent for so long, by all the others' reports."""
        self.silent[member] = ms
        self.isolated = [*self.isolated, member]
        self.emit("network", {"member": self.addresses[member]})

    def emit(self, name: str, data: Json) -> None:
        """Send one event to everybody who listens."""
        data = {"at": format_ms(self.now_ms())} | data
        self._sequence += 1
        self.events.append(data)
        lines = f"id: 1-{self._sequence}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        for stream in self._streams:
            stream.put_nowait(lines)

    # Serving

    async def start(self, address: str = "127.0.0.1:0") -> Self:
        """Serve on `address`; port 0 takes a free one."""
        self._server = AppServer(address, make_app([*make_page_routes(), *self.make_routes()]))
        await self._server.start()
        return self

    async def stop(self) -> None:
        """Go away as a node that ends does: the streams first."""
        for stream in self._streams:
            stream.put_nowait(None)
        if self._server is not None:
            await self._server.aclose()
            self._server = None

    @property
    def address(self) -> str:
        """host:port."""
        assert self._server is not None
        return self._server.address

    @property
    def url(self) -> str:
        """Where the live page is."""
        return f"http://{self.address}/"

    def make_routes(self) -> list[BaseRoute]:
        """Return the routes of the API."""

        async def prices(request: Request) -> Response:
            pair, limit = request.query_params.get("pair"), int(request.query_params["limit"])
            first = int(request.query_params.get("cursor", "0"))
            if first and self.older_problem is not None:
                return _refuse(503, self.older_problem)
            known = [one for one in self.prices if pair in (None, one["report"]["pair"])]
            after = first + limit
            cursor = str(after) if after < len(known) else None
            answer: Json = {"prices": known[first:after], "next": cursor}
            if self.unproven:
                answer["unproven"] = self.unproven
            return JSONResponse(answer)

        async def network(_request: Request) -> Response:
            return JSONResponse(self.describe_network())

        async def rounds(request: Request) -> Response:
            limit = int(request.query_params["limit"])
            return JSONResponse({"now": format_ms(self.now_ms()), "rounds": self.rounds[:limit]})

        async def events(_request: Request) -> Response:
            headers = {"cache-control": "no-store"}
            return StreamingResponse(
                self._stream(), headers=headers, media_type="text/event-stream"
            )

        return [
            Route("/api/v1/prices", prices),
            Route("/api/v1/network", network),
            Route("/api/v1/rounds", rounds),
            Route("/api/v1/events", events),
        ]

    async def _stream(self) -> AsyncIterator[str]:
        stream: asyncio.Queue[str | None] = asyncio.Queue()
        self._streams.add(stream)
        try:
            yield ": here\n\n"
            while (lines := await stream.get()) is not None:
                yield lines
        finally:
            self._streams.discard(stream)

    # What the API says

    def describe_network(self) -> Json:
        """Return the answer of /api/v1/network."""
        now, count = self.now_ms(), len(self.addresses)
        alive = count - len(self.silent)
        needed = self.document.minimum_signers
        return {
            "now": format_ms(now),
            "networkId": self.document.network_id,
            "me": self.addresses[0],
            "role": "member",
            "simulated": self.simulated,
            "epoch": {
                "number": self.document.epoch,
                "hash": "0x" + self.document.hash.hex(),
                "start": format_ms(1000 * self.document.start),
            },
            "mode": self.document.mode.value,
            "interval": INTERVAL_S,
            "minimumSigners": needed,
            "settle": SETTLE_S,
            "skew": self.document.skew,
            "pairs": self.pairs,
            "members": [self._describe_member(index, now) for index in range(count)],
            "matrix": {
                "members": self.addresses,
                "rows": [self._describe_row(index) for index in range(count)],
            },
            "isolated": [self.addresses[index] for index in self.isolated],
            "deaf": [self.addresses[index] for index in self.deaf],
            "connections": {
                "peers": max(0, alive - 1),
                "members": max(0, alive - 1),
                "inbound": 1,
                "outbound": max(0, alive - 2),
                "list": [],
            },
            "quorum": {"alive": alive, "needed": needed, "margin": alive - needed},
            "problems": self.problems,
        }

    def _describe_member(self, index: int, now: float) -> Json:
        away = self.silent.get(index)
        heard = now - (away if away is not None else 400 * index)
        seen = next((one for one in self.rounds if one["observations"]), None)
        mine = (
            [one for one in seen["observations"] if one["member"] == self.addresses[index]]
            if seen
            else []
        )
        others = [one for one in range(len(self.addresses)) if one != index]
        return {
            "index": index,
            "address": self.addresses[index],
            "peerId": self.document.members[index].peer_id,
            "me": index == 0,
            "connected": index != 0 and away is None,
            "version": self.versions[index],
            "boot": format_ms(now - 3_600_000),
            "lastSeen": format_ms(heard),
            "silentMs": away if away is not None else 0,
            "state": "alive" if away is None else "silent",
            "clockOffsetMs": 0 if index == 0 else (-1) ** index * 7 * index,
            "peers": [one for one in others if one not in self.silent],
            "observations": [
                {"pair": self.pair, "round": seen["round"], "price": one["price"]} for one in mine
            ]
            if seen
            else [],
            "database": self.database if index == 0 else True,
        }

    def _describe_row(self, index: int) -> Json:
        counts: list[int | None] = []
        hears: list[bool | None] = []
        for other in range(len(self.addresses)):
            if other == index:
                counts.append(None)
            elif index in self.deaf:
                counts.append(0 if other % 2 else 11)
            elif other in self.isolated and other not in self.silent:
                counts.append(0)
            else:
                missed = self.silent.get(other, 0) // HEARTBEAT_MS
                counts.append(940 + (37 * index + 101 * other) % 160 - missed)
            is_heard = other not in self.silent and other not in self.isolated
            hears.append(None if other == index else is_heard and counts[-1] != 0)
        return {"member": self.addresses[index], "heard": counts, "hears": hears}

    def _make_round(self, index: int) -> Json:
        round_ = self.network.round(index)
        return {
            "pair": self.pair,
            "round": round_,
            "time": format_ms(1000 * round_),
            "state": "waiting",
            "proposals": [],
            "reason": None,
            "observations": [],
        }

    def _make_proposal(self, report: Report, members: list[int], state: str) -> Json:
        proven_ms = 1000 * (report.round + 2)
        settled_ms = proven_ms + 1000 * SETTLE_S
        is_proven = state != "proposed"
        is_settled = state in ("settled", "stored")
        return {
            "id": "0x" + self.network.compute_id(report).hex(),
            "proposer": format_address(report.proposer),
            "price": self._scale(report.price),
            "signers": [self.addresses[member] for member in members],
            "needed": self.document.minimum_signers,
            "provenAt": format_ms(proven_ms) if is_proven else None,
            "settlesAt": format_ms(settled_ms) if is_proven else None,
            "settledAt": format_ms(settled_ms) if is_settled else None,
            "storedAt": format_ms(settled_ms + 200) if state == "stored" else None,
        }

    def _tell(self, record: Json, name: str, member: int | None) -> None:
        proposal = record["proposals"][0]
        data = {
            "id": proposal["id"],
            "price": proposal["price"],
            "signers": len(proposal["signers"]),
            "needed": proposal["needed"],
        }
        if member is not None:
            data["member"] = self.addresses[member]
        self.emit(name, self._describe(record, **data))

    def _describe(self, record: Json, **more: Any) -> Json:
        return {key: record[key] for key in ("pair", "round", "time")} | more

    def _observe(self) -> int:
        """A step of the market, and a little of each member's own."""
        self._value *= 1 + self._dice.gauss(0, 0.00022)
        return int(self._value * (1 + self._dice.gauss(0, 0.00013)) * 10**8) // 10_000 * 10_000

    def _scale(self, price: int) -> str:
        decimals = self.document.pairs[0].decimals
        return f"{price // 10**decimals}.{price % 10**decimals:0{decimals}d}"


def _refuse(status: int, detail: str) -> Response:
    problem = {"type": "about:blank", "title": "Problem", "status": status, "detail": detail}
    return JSONResponse(problem, status_code=status, media_type="application/problem+json")
