"""What a node tells of itself at `/api/v1/status`: one small, bounded JSON object.

Made for the operator and for people with curl: who it is, what it knows, whom it meets, what was
agreed last. It gathers notes as metrics do and asks the rest; it decides nothing. The shape is
described in docs/status.md, and tests/contract holds the operator's reader against it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gossip_price.adapters.archive import FoundPrice
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.types import Report
from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain

#: Peer ids named in one answer: all members of the largest network, and then some listeners.
PEER_IDS_MAX: Final = 512
PROBLEM_CHARS_MAX: Final = 500


@dataclass(frozen=True)
class Self:
    """Who we are. `address` is EIP-55 text, None for a node that never signs."""

    is_bootstrap: bool
    peer_id: str
    address: str | None
    version: str


class StatusBoard:
    """Keeps the newest settled price of each pair; its `observe` is an Observer.

    `settled` is what is known of an earlier life, so that a node that was just restarted does not
    say that there are no prices. `get_chain`, `get_peers` and `find_problems` are asked at each
    answer; `wall_s` is the clock.
    Settled, not merely proven: its signers have all come, so that every node tells the same.
    """

    def __init__(
        self,
        me: Self,
        *,
        get_chain: Callable[[], EpochChain],
        get_peers: Callable[[], Collection[str]],
        find_problems: Callable[[], Mapping[str, str]],
        wall_s: Callable[[], int],
        settled: Iterable[FoundPrice] = (),
    ) -> None:
        self._me = me
        self._get_chain = get_chain
        self._get_peers = get_peers
        self._find_problems = find_problems
        self._wall_s = wall_s
        self._prices: dict[str, dict[str, Any]] = {}
        self._proven_round: int | None = None
        self._store_up: bool | None = None
        self._store_problem: str | None = None
        for price in settled:
            self._keep(price.report, price.id, len(price.signatures), _compute_settled_s(price))

    def observe(self, note: Note) -> None:
        """Take one note."""
        match note.kind:
            case NoteKind.PROVEN:
                self._proven_round = max(note.round, self._proven_round or 0)
            case NoteKind.SETTLED:
                self._keep(note, note.id, note.count, self._wall_s())
            case NoteKind.STORE_UP | NoteKind.STORE_DOWN:
                self._store_up = note.kind is NoteKind.STORE_UP
                self._store_problem = None if self._store_up else note.reason[:PROBLEM_CHARS_MAX]

    def _keep(self, price: Note | Report, id_: bytes, signers: int, settled_s: int) -> None:
        known = self._prices.get(price.pair)
        # Settled late, or the second of a round: what was told stays told.
        if known is not None and price.round <= known["round"]:
            return
        self._prices[price.pair] = {
            "pair": price.pair,
            "round": price.round,
            "price": str(price.price),
            "decimals": price.decimals,
            "signers": signers,
            "time": settled_s,
            "id": "0x" + id_.hex(),
        }

    def tell(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        chain = self._get_chain()
        newest = chain.newest
        peers = sorted(self._get_peers())
        pairs = [terms.pair for terms in newest.pairs]
        prices = [self._prices[pair] for pair in pairs if pair in self._prices]
        proven = None if self._proven_round is None else chain.get_in_force(self._proven_round)
        return {
            "role": self._find_role(newest),
            "address": self._me.address,
            "peerId": self._me.peer_id,
            "version": self._me.version,
            "epoch": _name(newest),
            "provenEpoch": None if proven is None else _name(proven),
            "peers": {
                "connected": len(peers),
                "members": sum(peer in newest.index_by_peer for peer in peers),
                "ids": peers[:PEER_IDS_MAX],
            },
            "problems": {
                name: text[:PROBLEM_CHARS_MAX] for name, text in self._find_problems().items()
            },
            "prices": prices,
            "settledRound": (
                min(price["round"] for price in prices) if len(prices) == len(pairs) else None
            ),
            "database": {"reachable": self._store_up, "problem": self._store_problem},
        }

    def _find_role(self, newest: Document) -> str:
        """A role comes and goes with the epochs; only a bootstrap is one for life."""
        if self._me.is_bootstrap:
            return "bootstrap"
        is_member = any(member.address == self._me.address for member in newest.members)
        return "member" if is_member else "listener"


def _compute_settled_s(price: FoundPrice) -> int:
    """Return when it settled: its last signer, as far as the journal knows, and the settle time."""
    last_s = price.report.round if price.last_signed_ms is None else price.last_signed_ms // 1000
    return last_s + price.document.settle


def _name(document: Document) -> dict[str, Any]:
    return {"number": document.epoch, "hash": "0x" + document.hash.hex()}
