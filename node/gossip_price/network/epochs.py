"""The chain of epochs: which document is in force for a round, and whom to believe. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import Enum
from itertools import pairwise

from gossip_price.network.document import INTEGER_MAX, Document, DocumentError
from gossip_price.network.keys import format_address
from gossip_price.network.overlap import find_overlap_problem, get_quorum


class _Live:
    """The epochs that live from `since` until `until` (Unix seconds), the one in force first."""

    __slots__ = ("address_by_peer", "documents", "since", "until")

    def __init__(self, since: int, until: int, documents: tuple[Document, ...]) -> None:
        self.since = since
        self.until = until
        self.documents = documents
        #: A peer id under two addresses (its member has changed its signing key) is that of the
        #: first of these epochs that has it.
        self.address_by_peer = {
            peer: document.addresses[index]
            for document in reversed(documents)
            for peer, index in document.index_by_peer.items()
        }


class EpochChain:
    """Epochs of one network, oldest first, each naming the hash of the one before.

    Raises DocumentError when a link, the network id, the numbering or the order of starts
    does not hold.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = tuple(documents)
        if not self.documents:
            raise DocumentError("epochs: none given, allowed: at least one")
        for before, after in pairwise(self.documents):
            _check_link(before, after)
        self._by_hash = {document.hash: document for document in self.documents}
        self._starts = [document.start for document in self.documents]
        #: What lived when last asked, which is seldom anything else: all that comes asks.
        self._live = _Live(0, 0, ())

    @property
    def network_id(self) -> bytes:
        """The network's 32 random bytes."""
        return bytes.fromhex(self.documents[0].network_id[2:])

    @property
    def newest(self) -> Document:
        """The last epoch, in force or yet to start."""
        return self.documents[-1]

    @property
    def separator(self) -> bytes:
        """The EIP-712 domain separator of the network: the same in all epochs."""
        return self.documents[0].separator

    def find(self, epoch: bytes) -> Document | None:
        """Return the document with this hash, or None."""
        return self._by_hash.get(epoch)

    def get_in_force(self, unix_s: int) -> Document | None:
        """Return the epoch in force at this second; None before the first one starts.

        Starts are aligned to the rounds of both epochs, so a round lies in one epoch whole.
        """
        position = bisect_right(self._starts, unix_s)
        return self.documents[position - 1] if position else None

    def get_current(self, unix_s: int) -> Document:
        """Return the epoch in force at this second; before the first one starts, that one."""
        return self.documents[max(bisect_right(self._starts, unix_s), 1) - 1]

    def is_left(self, document: Document, round_: int) -> bool:
        """Tell whether this epoch was left for good before a round: two others have begun by then.

        One behind, a quorum of laggards is a quorum. Two behind it can be none where quorums
        overlap; those of two epochs of `EveryNode` in a row need not.
        """
        in_force = self.get_in_force(round_)
        return in_force is not None and in_force.epoch > document.epoch + 1

    def list_live(self, unix_s: int) -> tuple[Document, ...]:
        """Return the epochs whose members have something to say, the one in force first.

        After it come those announced and, until its last rounds have settled, the one before.
        """
        return self._get_live(unix_s).documents

    def _get_live(self, unix_s: int) -> _Live:
        if not self._live.since <= unix_s < self._live.until:
            self._live = self._find_live(unix_s)
        return self._live

    def _find_live(self, unix_s: int) -> _Live:
        position = max(bisect_right(self._starts, unix_s), 1) - 1
        live = self.documents[position:]
        since, *later = *self._starts[position:], INTEGER_MAX
        if not position:
            return _Live(0, later[0], live)
        before = self.documents[position - 1]
        end = get_end(before, since)
        if unix_s < end:
            return _Live(since, min(end, later[0]), (*live, before))
        return _Live(end, later[0], live)

    def find_member_epoch(self, address: bytes, unix_s: int) -> Document | None:
        """Return the live epoch in which this is a member's address; None for a stranger."""
        live = self.list_live(unix_s)
        return next((doc for doc in live if address in doc.index_by_address), None)

    def find_peer_address(self, peer_id: str, unix_s: int) -> bytes | None:
        """Return the address of the member that has this peer id in a live epoch, or None."""
        return self._get_live(unix_s).address_by_peer.get(peer_id)

    def find_break(self, known: EpochChain) -> str | None:
        """Say why this chain does not go on where `known` ends; None if it does, or is the same.

        Nobody goes back: whoever did could sign once more under an epoch that was left.
        """
        for ours, theirs in zip(known.documents, self.documents, strict=False):
            if ours.hash != theirs.hash:
                return (
                    f"epoch {ours.epoch} is known as 0x{ours.hash.hex()}, this one names epoch"
                    f" {theirs.epoch} with 0x{theirs.hash.hex()} at its place; remedy: add epochs"
                    " to the file, change none"
                )
        if len(self.documents) < len(known.documents):
            return (
                f"epoch {known.newest.epoch} is known and missing here; remedy: a file with all"
                " epochs"
            )
        return None

    def find_return(self, epoch: int, hash_: bytes) -> str | None:
        """Say why a node that has known this epoch may not run on this chain; None if it may."""
        if hash_ in self._by_hash:
            return None
        return (
            f"this node has known epoch {epoch} (0x{hash_.hex()}), which is not in the network"
            f" file; its newest is epoch {self.newest.epoch}; remedy: a network file that has it:"
            " nobody goes back to an older one"
        )


def get_end(document: Document, successor_start: int) -> int:
    """Return when a left epoch has nothing to say any more: skew and settle time after its end."""
    return successor_start + document.skew + document.settle


def _check_link(before: Document, after: Document) -> None:
    name = f"epoch {after.epoch}"
    if after.network_id != before.network_id:
        raise DocumentError(f"{name}: networkId differs from that of epoch {before.epoch}")
    if after.epoch != before.epoch + 1:
        raise DocumentError(f"{name}: follows epoch {before.epoch}, allowed: {before.epoch + 1}")
    if after.previous != "0x" + before.hash.hex():
        raise DocumentError(f"{name}: previous is not the hash of epoch {before.epoch}")
    if after.start <= before.start:
        raise DocumentError(f"{name}: start is not after that of epoch {before.epoch}")
    if after.start % before.interval:
        raise DocumentError(f"{name}: start cuts a round of epoch {before.epoch} in two")
    problem = find_overlap_problem(get_quorum(before), get_quorum(after))
    if problem is not None:
        raise DocumentError(f"{name}: {problem}")


class Role(Enum):
    """What a node is in an epoch."""

    MEMBER = "member"
    LISTENER = "listener"


class RoleError(DocumentError):
    """Our keys contradict the roster."""


def find_role(document: Document, address: bytes | None, peer_id: str) -> Role:
    """Return what the holder of these keys is: a member is the entry of its own key's address.

    `address` is None without a signing key. A node without an entry listens. Raises RoleError
    for an entry with another peer id, and for our peer id under another address: such a node
    would silently sign nothing, or be cut off by its peers.
    """
    index = None if address is None else document.index_by_address.get(address)
    if index is not None:
        listed = document.members[index]
        if listed.peer_id != peer_id:
            raise RoleError(
                f"member {listed.address} has peer id {listed.peer_id} in epoch {document.epoch},"
                f" but our identity key is {peer_id}; remedy: use the identity key that belongs to"
                " this signing key"
            )
        return Role.MEMBER
    if peer_id in document.index_by_peer:
        listed = document.members[document.index_by_peer[peer_id]]
        ours = "we have no signing key" if address is None else f"ours is {format_address(address)}"
        raise RoleError(
            f"peer id {peer_id} belongs to member {listed.address} in epoch {document.epoch}, but"
            f" {ours}; remedy: use the signing key that belongs to this identity key"
        )
    return Role.LISTENER
