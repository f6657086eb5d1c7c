"""One report and who has signed it: a set that only grows, proven and settled by counting people.

Merging is a union over members, so order, loss and duplication of messages do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gossip_price.core.events import ProvenRecord
from gossip_price.core.types import Entry, Now, Report, Signature
from gossip_price.network.document import Document


class Claimed(NamedTuple):
    """Whom an entry claims to be signed by: as bits (bit i is the member of index i), and how."""

    bits: int
    by_member: Mapping[int, Signature]

    def pick(self, bits: int) -> list[Signature]:
        """Return the signatures of these members, who are among the signers, by index."""
        picked = []
        while bits:
            lowest = bits & -bits
            picked.append(self.by_member[lowest.bit_length() - 1])
            bits ^= lowest
        return picked


def read_signers(entry: Entry) -> Claimed:
    """Return whom an entry claims to be signed by."""
    bits = 0
    for signature in entry.signatures:
        bits |= 1 << signature.member
    return Claimed(bits, {signature.member: signature for signature in entry.signatures})


class Tally:
    """The signatures known for one report of one epoch, at most one a member.

    Only checked signatures go in (`checks.check_signatures`). Times are monotonic
    milliseconds of this process.
    """

    __slots__ = (
        "document",
        "id",
        "is_caught_up",
        "is_settled",
        "last_signed_wall_ms",
        "last_signer_ms",
        "observed",
        "proven_ms",
        "report",
        "signatures",
        "signer_bits",
        "vouched",
    )

    def __init__(self, id_: bytes, report: Report, document: Document) -> None:
        self.id = id_
        self.report = report
        self.document = document
        self.signatures: dict[int, bytes] = {}
        #: The same members as bits: bit i is the member of index i.
        self.signer_bits = 0
        self.last_signer_ms = 0
        self.last_signed_wall_ms = 0
        #: Names of our sources, and their spread in basis points: ours alone, signed by nobody.
        self.observed: tuple[tuple[str, ...], int | None] = ((), None)
        self.proven_ms: int | None = None
        self.is_settled = False
        #: Proven, of a closed round, and a peer gave it: others have stored it long ago.
        self.is_caught_up = False
        #: The store in which it stands, as somebody's receipt said before it was settled.
        self.vouched: bytes | None = None

    def merge(self, member: int, signature: bytes, now: Now) -> bool:
        """Add a member's checked signature; the first one kept. Tell whether it was new."""
        if member in self.signatures:
            return False
        self.signatures[member] = signature
        self.signer_bits |= 1 << member
        self.last_signer_ms = now.mono_ms
        self.last_signed_wall_ms = now.wall_ms
        # Signatures of one message come one by one, the proposer's not first: what is written to
        # the journal in between must prove itself as well.
        is_quorum = len(self.signatures) >= self.document.minimum_signers
        if self.proven_ms is None and is_quorum and self.is_open:
            self.proven_ms = now.mono_ms
        return True

    @property
    def is_proven(self) -> bool:
        """A quorum of distinct members of its epoch has signed, its proposer among them."""
        return self.proven_ms is not None

    @property
    def is_open(self) -> bool:
        """Its proposer has signed: it may be named and passed on to others."""
        return self.document.index_by_address[self.report.proposer] in self.signatures

    @property
    def is_complete(self) -> bool:
        """Every member of its epoch has signed: nobody can any more."""
        return len(self.signatures) == len(self.document.members)

    def find_missing(self, bits: int) -> int:
        """Return those of `bits` that are members of the epoch and have not signed here."""
        return bits & ~self.signer_bits & ((1 << len(self.document.members)) - 1)

    @property
    def settles_ms(self) -> int | None:
        """When it settles if nobody else signs: the settle time after the last new signer.

        The cap, counted from the moment it was proven, keeps a trickle of late signers from
        holding it open. None while it is not proven.
        """
        if self.proven_ms is None:
            return None
        return min(
            self.last_signer_ms + self.document.settle * 1000,
            self.proven_ms + self.document.settle_cap * 1000,
        )

    def to_entry(self) -> Entry:
        """Return the report with all signatures, by member."""
        return Entry(
            self.report,
            tuple(Signature(member, self.signatures[member]) for member in sorted(self.signatures)),
        )

    def to_record(self) -> ProvenRecord:
        """Return what the journal keeps of it once it is proven."""
        return ProvenRecord(self.id, self.to_entry(), self.last_signed_wall_ms, *self.observed)

    def get_signers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return (address, signature) of each signer, by address."""
        addresses = self.document.addresses
        return tuple(
            (addresses[member], self.signatures[member]) for member in sorted(self.signatures)
        )
