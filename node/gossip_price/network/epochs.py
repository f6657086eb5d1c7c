"""The chain of epochs: which document is in force for a round, and whom to believe. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import Enum

from gossip_price.network.document import Document, DocumentError
from gossip_price.network.keys import format_address


class EpochChain:
    """Epochs of one network, oldest first, each naming the hash of the one before.

    Raises DocumentError when a link, the network id, the numbering or the order of starts
    does not hold.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = tuple(documents)
        if not self.documents:
            raise DocumentError("epochs: none given, allowed: at least one")
        for before, after in zip(self.documents, self.documents[1:], strict=False):
            _check_link(before, after)
        self._by_hash = {document.hash: document for document in self.documents}
        self._starts = [document.start for document in self.documents]

    @property
    def network_id(self) -> bytes:
        """The network's 32 random bytes."""
        return bytes.fromhex(self.documents[0].network_id[2:])

    @property
    def newest(self) -> Document:
        """The last epoch, in force or yet to start."""
        return self.documents[-1]

    def find(self, epoch: bytes) -> Document | None:
        """Return the document with this hash, or None."""
        return self._by_hash.get(epoch)

    def get_in_force(self, unix_s: int) -> Document | None:
        """Return the epoch in force at this second; None before the first one starts.

        Starts are aligned to the rounds of both epochs, so a round lies in one epoch whole.
        """
        position = bisect_right(self._starts, unix_s)
        return self.documents[position - 1] if position else None


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
