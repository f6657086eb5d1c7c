"""Ask the nodes how they are, at their own HTTP endpoint. Bounded, strict, and never fatal.

The answer's shape is the node's (docs/status.md). Fields that we know must be as they are
described, else the whole answer counts for nothing; fields that we don't know are of a newer
node and no matter. A node that cannot be asked is absent from what is returned: Unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

import aiohttp
import msgspec
from msgspec import Meta

from gossip_price_operator.inputs import HTTP_PORT
from gossip_price_operator.observed import LastPrice, NodeHealth

#: A node answers from memory, in milliseconds; one that takes longer is in trouble.
ASK_TIMEOUT_S: Final = 3.0
ANSWER_BYTES_MAX: Final = 64 * 1024
#: Questions under way at once, of all networks together.
QUESTIONS_MAX: Final = 64

_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Text = Annotated[str, Meta(max_length=200)]
_Digits = Annotated[str, Meta(pattern=r"^[0-9]{1,40}$")]


class HealthError(ValueError):
    """An answer that is not what a node says; names the field."""


class _Epoch(msgspec.Struct, frozen=True):
    number: _Count
    hash: _Text


class _Peers(msgspec.Struct, frozen=True):
    connected: _Count
    members: _Count
    ids: Annotated[tuple[_Text, ...], Meta(max_length=512)]


class _Price(msgspec.Struct, frozen=True):
    pair: _Text
    round: _Count
    price: _Digits
    decimals: Annotated[int, Meta(ge=0, le=18)]
    signers: _Count
    time: _Count
    id: _Text


class _Database(msgspec.Struct, frozen=True):
    reachable: bool | None
    #: Nodes of 0.1.0 and before do not say.
    problem: Annotated[str, Meta(max_length=500)] | None = None


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    role: _Text
    address: _Text | None
    peer_id: _Text
    epoch: _Epoch
    proven_epoch: _Epoch | None
    peers: _Peers
    problems: dict[_Text, Annotated[str, Meta(max_length=500)]]
    prices: Annotated[tuple[_Price, ...], Meta(max_length=64)]
    settled_round: _Count | None
    database: _Database


def parse_health(raw: bytes) -> NodeHealth:
    """Read a node's answer. Raises HealthError."""
    try:
        status = msgspec.json.decode(raw, type=_Status)
    except msgspec.MsgspecError as error:
        raise HealthError(str(error)) from error
    return NodeHealth(
        ready=not status.problems,
        problems=status.problems,
        peers=status.peers.connected,
        peer_ids=frozenset(status.peers.ids),
        known_epoch=status.epoch.number,
        proven_epoch=None if status.proven_epoch is None else status.proven_epoch.number,
        prices=tuple(
            LastPrice(
                pair=price.pair,
                price=f"{Decimal(price.price).scaleb(-price.decimals):f}",
                round=price.round,
                signers=price.signers,
                time=price.time,
            )
            for price in status.prices
        ),
        settled_round=status.settled_round,
        store_up=status.database.reachable,
        store_problem=status.database.problem,
    )


class HealthReader:
    """Asks many nodes at once; one session, closed by whoever made it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._turns = asyncio.Semaphore(QUESTIONS_MAX)

    async def ask(self, addresses: Mapping[int, str]) -> dict[int, NodeHealth]:
        """Return what the nodes answer, by number; `addresses` are IPs. Who is silent is absent."""
        answers = await asyncio.gather(*(self._ask(address) for address in addresses.values()))
        return {
            number: answer
            for number, answer in zip(addresses, answers, strict=True)
            if answer is not None
        }

    async def _ask(self, address: str) -> NodeHealth | None:
        host = f"[{address}]" if ":" in address else address
        try:
            async with (
                self._turns,
                asyncio.timeout(ASK_TIMEOUT_S),
                self._session.get(
                    f"http://{host}:{HTTP_PORT}/api/v1/status", allow_redirects=False
                ) as response,
            ):
                if response.status != 200:
                    return None
                raw = await response.content.read(ANSWER_BYTES_MAX + 1)
                while len(raw) <= ANSWER_BYTES_MAX and not response.content.at_eof():
                    raw += await response.content.read(ANSWER_BYTES_MAX + 1 - len(raw))
            return parse_health(raw) if len(raw) <= ANSWER_BYTES_MAX else None
        except (aiohttp.ClientError, TimeoutError, OSError, HealthError):
            return None
