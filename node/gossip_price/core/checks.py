"""The doorkeeper: what is let in, what is passed over, what is held against its author.

*Reject* is for what its author, knowing the same document, cannot have sent in good faith;
*ignore* for what may be anybody's clock, an epoch we do not know yet, or our own trouble.
Cheap checks come first, each with a label that metrics and logs carry; curve operations last.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gossip_price.core.forest import decode_roots
from gossip_price.core.rounds import is_over, is_too_early
from gossip_price.core.testimony import decode_testimony
from gossip_price.core.types import Entry, Now, Report, Signature
from gossip_price.core.wire import Heartbeat, Receipt, WireError, decode_open
from gossip_price.crypto import SignatureError, recover
from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain


class Action(Enum):
    """What to do with what came."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    REJECT = "reject"


class Verdict(NamedTuple):
    """An action and its label."""

    action: Action
    reason: str


#: The only verdict that accepts.
ACCEPT: Final = Verdict(Action.ACCEPT, "")


def _ignore(reason: str) -> Verdict:
    return Verdict(Action.IGNORE, reason)


def _reject(reason: str) -> Verdict:
    return Verdict(Action.REJECT, reason)


def check_entry(entry: Entry, document: Document | None, chain: EpochChain, now: Now) -> Verdict:
    """Judge an entry by everything but its signatures' mathematics and our own state."""
    if document is None:
        return _ignore("unknown_epoch")
    verdict = check_form(entry, document)
    if verdict is not ACCEPT:
        return verdict
    # [ignore] the author may not have the newer epoch yet: nobody signs this any more, but what
    # a quorum that had not heard of it has proven is merged
    is_claimed_proven = len(entry.signatures) >= document.minimum_signers
    if chain.get_in_force(entry.report.round) is not document:
        # [ignore] nor two newer ones: by then it was left for good, whoever still signs
        if chain.is_left(document, entry.report.round):
            return _ignore("epoch_left")
        if not is_claimed_proven:
            return _ignore("epoch_not_in_force")
    # [ignore] somebody's clock is wrong, perhaps ours
    if is_too_early(document, entry.report.round, now):
        return _ignore("future_round")
    # [ignore] too old to be signed; what is proven is merged at any age
    if is_over(document, entry.report.round, now) and not is_claimed_proven:
        return _ignore("stale_round")
    return ACCEPT


def check_form(entry: Entry, document: Document) -> Verdict:
    """Judge an entry by its epoch's document alone: whoever reads it, whenever, finds the same."""
    verdict = check_report(entry.report, document)
    if verdict is not ACCEPT:
        return verdict
    claimed = {signature.member for signature in entry.signatures}
    # [reject] the same member twice, in whatever order
    if len(claimed) != len(entry.signatures):
        return _reject("repeated_signer")
    # [reject] an index beyond the roster
    if max(claimed) >= len(document.members):
        return _reject("unknown_signer")
    # [reject] an honest node never passes on a report that its proposer has not signed
    if document.index_by_address[entry.report.proposer] not in claimed:
        return _reject("unsigned_by_proposer")
    # [reject] nobody signs for an epoch before it starts
    if entry.report.round < document.start:
        return _reject("epoch_not_started")
    return ACCEPT


def check_report(report: Report, document: Document) -> Verdict:
    """Judge a report by the document that it names: rules that hold at any time."""
    terms = document.terms_by_pair.get(report.pair)
    # [reject] a pair that this epoch does not have
    if terms is None:
        return _reject("unknown_pair")
    # [reject] another number of decimals: the same digits would mean another price
    if report.decimals != terms.decimals:
        return _reject("decimals")
    # [reject] a price that the members agreed is none
    if not terms.min_price <= report.price <= terms.max_price:
        return _reject("price_range")
    # [reject] the round is exactly the observed time rounded down
    if report.round != document.get_round(report.observed_at):
        return _reject("round_mismatch")
    # [reject] a proposer that is not on the roster
    if report.proposer not in document.index_by_address:
        return _reject("unknown_proposer")
    return ACCEPT


def check_signature(id_: bytes, signature: Signature, document: Document) -> Verdict:
    """Judge one signature: it must recover to the member it claims to be of."""
    try:
        address = recover(id_, signature.signature)
    except SignatureError:
        return _reject("bad_signature")
    # [reject] the signature is not over exactly these bytes, or not by this member
    if address != document.addresses[signature.member]:
        return _reject("bad_signature")
    return ACCEPT


def check_heartbeat(
    heartbeat: Heartbeat, document: Document | None, chain: EpochChain, author: str, now: Now
) -> Verdict:
    """Judge a heartbeat of a member of the epoch that it names."""
    if document is None:
        return _ignore("unknown_epoch")
    # [ignore] of an epoch that is over: its author may not have heard, or be no member any more
    if document not in chain.list_live(now.wall_ms // 1000):
        return _ignore("epoch_over")
    return check_words(heartbeat, document, author)


def check_words(heartbeat: Heartbeat, document: Document, author: str) -> Verdict:
    """Judge a heartbeat by itself: whoever reads it, whenever, finds the same."""
    # [reject] words about others, open ids or roots that no member of that epoch can have written
    try:
        decode_testimony(heartbeat, document)
        decode_open(heartbeat.open)
        decode_roots(heartbeat.roots)
    except WireError as error:
        return _reject(error.reason)
    return _check_own_word(
        heartbeat.member, heartbeat.compute_digest(document.separator), heartbeat.signature,
        document, author,
    )  # fmt: skip


def check_receipt(receipt: Receipt, chain: EpochChain, author: str, now: Now) -> Verdict:
    """Judge a receipt against the rosters of the epochs that live."""
    document = chain.find_member_epoch(receipt.writer, now.wall_ms // 1000)
    # [ignore] a writer that we do not know (yet, or any more)
    if document is None:
        return _ignore("unknown_writer")
    return _check_own_word(
        receipt.writer, receipt.compute_digest(document.separator), receipt.signature,
        document, author,
    )  # fmt: skip


def _check_own_word(
    speaker: bytes, digest: bytes, signature: bytes, document: Document, author: str
) -> Verdict:
    """Judge what only the speaker itself may say, in its own message."""
    index = document.index_by_address.get(speaker)
    # [reject] somebody who is not on the roster that the message names
    if index is None:
        return _reject("unknown_member")
    # [reject] nobody passes on another's heartbeat or receipt
    if document.members[index].peer_id != author:
        return _reject("not_the_author")
    return check_signature(digest, Signature(index, signature), document)


def is_within_deviation(price: int, own: int, max_deviation_bp: int) -> bool:
    """Tell whether `price` differs from our own by at most `max_deviation_bp` of our own."""
    return abs(price - own) * 10_000 <= max_deviation_bp * own
