"""From the machine's notes to rounds and events; its `observe` is an Observer. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from gossip_price.adapters.live.events import EventRing
from gossip_price.adapters.live.rounds import PROPOSALS_MAX, Proposal, RoundBook, RoundSeen
from gossip_price.adapters.rfc3339 import format_ms, format_s
from gossip_price.adapters.shown import format_decimal
from gossip_price.core.events import Note, NoteKind, ProvenRecord
from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address

#: A round that began longer ago than this many intervals is no news: a node that catches up a week
#: does not tell its listeners of each. What was settled then is found among the prices.
NEWS_ROUNDS: Final = 240
#: What changes the picture of the network beside heartbeats.
_OF_NETWORK: Final = frozenset(
    {
        NoteKind.EPOCH_KNOWN,
        NoteKind.EPOCH_ENTERED,
        NoteKind.STORE_UP,
        NoteKind.STORE_DOWN,
        NoteKind.JOURNAL_FAILED,
        NoteKind.JOURNAL_RECOVERED,
        NoteKind.CLOCK_STEPPED,
    }
)
#: Rounds of the future come from a clock that is wrong; the skew allows one.
_AHEAD_ROUNDS: Final = 2


class LiveBoard:
    """The newest rounds and events.

    `me` is our address, `wall_ms` the clock; `find_settled` asks the machine's memory for what
    settled without having been told of before: what an earlier life had proven.
    """

    def __init__(
        self,
        me: bytes,
        ring: EventRing,
        *,
        get_chain: Callable[[], EpochChain],
        find_settled: Callable[[bytes], ProvenRecord | None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._me = me
        self._find_settled = find_settled
        self._ring = ring
        self._get_chain = get_chain
        self._wall_ms = wall_ms
        self._book = RoundBook()

    def observe(self, note: Note) -> None:
        """Take one note."""
        match note.kind:
            case NoteKind.OBSERVED:
                self.add_observation(self._me, note.pair, note.round, note.price)
            case NoteKind.ROUND_LOST:
                self._lose(note)
            case (
                NoteKind.PROPOSED
                | NoteKind.COSIGNED
                | NoteKind.PROVEN
                | NoteKind.SETTLED
                | NoteKind.STORED
                | NoteKind.RECEIPT
            ):
                self._process_report(note)
            case _ if note.kind in _OF_NETWORK:
                self.tell_network()

    def add_observation(self, member: bytes, pair: str, round_: int, price: int) -> None:
        """Take what a member says that it saw."""
        seen = self._find_round(pair, round_)
        if seen is None or seen.observations.get(member) == price:
            return
        seen.observations[member] = price
        decimals = seen.document.terms_by_pair[pair].decimals
        self._tell("observation", seen, member=member, price=format_decimal(price, decimals))

    def tell_network(self) -> None:
        """Say that who is there, or what they say of each other, is not what it was."""
        self._ring.append("network", {"at": format_ms(self._wall_ms())})

    def describe_rounds(self, limit: int) -> dict[str, Any]:
        """Return the time and the newest rounds, newest first, the current ones among them."""
        now_ms = self._wall_ms()
        document = self._get_chain().get_in_force(now_ms // 1000)
        if document is not None:
            for terms in document.pairs:
                self._find_round(terms.pair, document.get_round(now_ms // 1000))
        newest = islice(self._book, limit)
        return {"now": format_ms(now_ms), "rounds": [_describe(seen, now_ms) for seen in newest]}

    def _process_report(self, note: Note) -> None:
        seen = self._find_round(note.pair, note.round)
        if seen is None:
            return
        proposal = seen.proposals.get(note.id)
        if proposal is None:
            if len(seen.proposals) >= PROPOSALS_MAX:
                return
            proposal = seen.proposals[note.id] = Proposal(
                note.id, note.proposer, note.price, note.decimals, note.needed
            )
            self._tell_report("proposal", seen, proposal, member=note.proposer)
        now_ms = self._wall_ms()
        match note.kind:
            case NoteKind.COSIGNED if note.member not in proposal.signers:
                proposal.signers[note.member] = None
                proposal.last_signed_ms = now_ms
                self._tell_report("signature", seen, proposal, member=note.member)
            case NoteKind.PROVEN if proposal.proven_ms is None:
                proposal.proven_ms = now_ms
                self._tell_report("proven", seen, proposal)
            case NoteKind.SETTLED if proposal.settled_ms is None:
                proposal.settled_ms = now_ms
                if len(proposal.signers) < note.count:
                    self._add_signers(proposal)
                self._tell_report("settled", seen, proposal)
            case NoteKind.STORED | NoteKind.RECEIPT if proposal.stored_ms is None:
                proposal.stored_ms = now_ms
                self._tell_report("stored", seen, proposal, member=note.member)

    def _add_signers(self, proposal: Proposal) -> None:
        """Take those of whom we were not told: an earlier life was."""
        record = self._find_settled(proposal.id)
        if record is None:
            return
        document = self._get_chain().find(record.entry.report.epoch)
        if document is not None:
            for signature in record.entry.signatures:
                proposal.signers[document.addresses[signature.member]] = None

    def _lose(self, note: Note) -> None:
        seen = self._find_round(note.pair, note.round)
        if seen is not None:
            seen.lost_reason = note.reason
            self._tell("lost", seen, reason=note.reason, signers=note.count, needed=note.needed)

    def _find_round(self, pair: str, start: int) -> RoundSeen | None:
        """Return the round if it is news, and one of the epoch that is in force for it."""
        known = self._book.find(pair, start)
        if known is not None:
            return known
        document = self._get_chain().get_in_force(start)
        if document is None or pair not in document.terms_by_pair or start % document.interval:
            return None
        age = (self._wall_ms() // 1000 - start) // document.interval
        if not -_AHEAD_ROUNDS <= age <= NEWS_ROUNDS:
            return None
        return self._book.add(document, pair, start)

    def _tell_report(
        self, name: str, seen: RoundSeen, proposal: Proposal, *, member: bytes | None = None
    ) -> None:
        settles_ms = proposal.compute_settles_ms(seen.document)
        self._tell(
            name,
            seen,
            id="0x" + proposal.id.hex(),
            member=member,
            proposer=format_address(proposal.proposer),
            price=format_decimal(proposal.price, proposal.decimals),
            signers=len(proposal.signers),
            needed=proposal.needed,
            settlesAt=None if settles_ms is None else format_ms(settles_ms),
        )

    def _tell(
        self, name: str, seen: RoundSeen, *, member: bytes | None = None, **data: Any
    ) -> None:
        self._ring.append(
            name,
            {
                "pair": seen.pair,
                "round": seen.start,
                "time": format_s(seen.start),
                "at": format_ms(self._wall_ms()),
                "member": format_address(member) if member else None,
                **data,
            },
        )


def _describe(seen: RoundSeen, now_ms: int) -> dict[str, Any]:
    decimals = seen.document.terms_by_pair[seen.pair].decimals
    return {
        "pair": seen.pair,
        "round": seen.start,
        "time": format_s(seen.start),
        "state": seen.get_state(now_ms),
        "reason": seen.lost_reason,
        "proposals": [_describe_proposal(one, seen.document) for one in seen.proposals.values()],
        "observations": [
            {"member": format_address(member), "price": format_decimal(price, decimals)}
            for member, price in sorted(seen.observations.items())
        ],
    }


def _describe_proposal(proposal: Proposal, document: Document) -> dict[str, Any]:
    times = {
        "provenAt": proposal.proven_ms,
        "settlesAt": proposal.compute_settles_ms(document),
        "settledAt": proposal.settled_ms,
        "storedAt": proposal.stored_ms,
    }
    return {
        "id": "0x" + proposal.id.hex(),
        "proposer": format_address(proposal.proposer),
        "price": format_decimal(proposal.price, proposal.decimals),
        "signers": [format_address(signer) for signer in proposal.signers],
        "needed": proposal.needed,
        **{name: None if ms is None else format_ms(ms) for name, ms in times.items()},
    }
