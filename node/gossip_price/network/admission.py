"""Who may connect at a time, and what we are then: by epochs and peers alone. Pure."""

from __future__ import annotations

from gossip_price.network.document import Peers
from gossip_price.network.epochs import EpochChain, Role, find_role


def get_admitted(chain: EpochChain, peers: Peers, unix_s: int) -> frozenset[str]:
    """Return the peer ids that may connect at this second.

    Members of the epoch in force and of those announced; of the one before until its last
    rounds have settled; members-to-be and listeners. Bootstraps are let in by their addresses.
    """
    members = {member.peer_id for doc in chain.list_live(unix_s) for member in doc.members}
    return frozenset({*members, *peers.admitted, *peers.listeners})


def find_roles(
    chain: EpochChain, address: bytes | None, peer_id: str, unix_s: int
) -> tuple[Role, ...]:
    """Return what the holder of these keys is in the epoch in force and in each announced one.

    Raises RoleError where a key contradicts one of them: see `epochs.find_role`. What was true
    in an epoch that is over contradicts nothing.
    """
    in_force = chain.get_current(unix_s)
    ahead = (document for document in chain.documents if document.epoch >= in_force.epoch)
    return tuple(find_role(document, address, peer_id) for document in ahead)
