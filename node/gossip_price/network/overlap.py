"""Whether two epochs in a row share enough signers: at most one price a round, of both. Pure.

A member that has not heard of the newer epoch may go on signing under the older one. Of the
members of both together, a quorum of each must therefore share more than those that may lie.
"""

from __future__ import annotations

from msgspec import Struct

from gossip_price.network.document import Document, Mode


class Quorum(Struct, frozen=True):
    """What safety depends on in an epoch: `members` by address, the threshold, f and the mode."""

    members: frozenset[str]
    minimum_signers: int
    faulty: int
    mode: Mode


def get_quorum(document: Document) -> Quorum:
    """Return the part of `document` that safety depends on."""
    return Quorum(
        members=frozenset(member.address for member in document.members),
        minimum_signers=document.minimum_signers,
        faulty=document.faulty,
        mode=document.mode,
    )


def find_overlap_problem(before: Quorum, after: Quorum) -> str | None:
    """Say why `after` may not follow `before` at once; None if it may.

    The rule is q_before + q_after > |before ∪ after| + f, with the larger f of the two. Where
    each member proposes its own price in both epochs nothing is promised that could break.
    """
    if before.mode is Mode.EVERY_NODE and after.mode is Mode.EVERY_NODE:
        return None
    members = len(before.members | after.members)
    faulty = max(before.faulty, after.faulty)
    both = before.minimum_signers + after.minimum_signers
    if both > members + faulty:
        return None
    return (
        f"minimumSigners: {before.minimum_signers} before and {after.minimum_signers} now are not"
        f" more than the {members} members of both epochs + {faulty} that may lie, so that two"
        " prices of one round could both be proven; remedy: go by epochs between (gossip-price"
        " network next plans them)"
    )
