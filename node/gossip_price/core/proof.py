"""What proves a price: its content, its signatures, and the epoch they stand in. Pure.

Believes nothing that is not signed. Knows no database and no file: whoever reads those brings
the claims here. `docs/protocol.md` gives the bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

import msgspec

from gossip_price.core.types import Report, decode_report
from gossip_price.crypto import SIGNATURE_LENGTH, SignatureError, recover
from gossip_price.network.document import PROTOCOLS_KNOWN, Document, DocumentError
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import KeyFormatError, format_address, parse_address

Signatures = Sequence[tuple[str, str]]
"""What is claimed: (signer's address, 65 bytes in hex with 0x), as text, in any order."""

_GIVEN_MAX: Final = 80
_NOTHING: Final[Mapping[bytes, bytes]] = {}


class UnprovenError(ValueError):
    """This is no proven price. `reason` is a short label, `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ClaimedRow(msgspec.Struct, frozen=True):
    """A row of `prices` as it stands in the table: text and numbers, nothing believed.

    `price` and `observed_at` (Unix seconds) are decimal text, `signatures` is the JSON text of
    `sign_data`; None is SQL's NULL.
    """

    id: str
    price: str | None
    first_signer: str | None
    signatures: str | None
    report: bytes | None
    epoch: str | None
    pair: str | None
    round: int | None
    observed_at: str | None
    decimals: int | None


class _ClaimedSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signer: str
    signature: str


_signatures_decoder: Final = msgspec.json.Decoder(tuple[_ClaimedSignature, ...])


def verify_row(
    row: ClaimedRow, document: Document, known: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[bytes, ...]:
    """Return the addresses of all members that signed the row's report, by address.

    `document` is the epoch that the row names. Every signed column must say what the report
    says. `known` are (address, signature) that were checked before, over this id: the same bytes
    are not checked again. Raises UnprovenError.
    """
    if row.report is None or row.pair is None:
        _fail("report_malformed", "the row has no report or no pair")
    try:
        report = decode_report(row.report, row.pair)
    except (ValueError, msgspec.ValidationError) as error:
        _fail("report_malformed", str(error))
    _check_columns(row, report)
    return verify_price(row.id, report, read_signatures(row.signatures), document, dict(known))


def read_signatures(text: str | None) -> Signatures:
    """Read the JSON of `sign_data`. Raises UnprovenError."""
    try:
        claimed = _signatures_decoder.decode(text or "")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _fail("signatures_malformed", f"sign_data: {error}")
    return tuple((item.signer, item.signature) for item in claimed)


def verify_price(
    id_: str,
    report: Report,
    signatures: Signatures,
    document: Document,
    known: Mapping[bytes, bytes] = _NOTHING,
) -> tuple[bytes, ...]:
    """Return the addresses of all members that signed, by address, proposer included.

    The report must hold in `document`, `id_` (0x and 64 hex digits, lower case) be its digest,
    and each signature be one of a distinct member over exactly that digest. One false signature
    makes the price unproven even if enough others are good: a set that its writer did not check
    proves that it was tampered with. Raises UnprovenError.
    """
    check_report(report, document)
    digest = report.compute_id(document.separator)
    if id_ != "0x" + digest.hex():
        _fail("id_mismatch", f"the content's id is 0x{digest.hex()}")
    signers: set[bytes] = set()
    for signer, signature in signatures:
        address = recover_signer(digest, signer, signature, known)
        if address not in document.index_by_address:
            _fail("signer_foreign", f"{signer} is no member of epoch {document.epoch}")
        if address in signers:
            _fail("signer_twice", f"{signer} is counted twice")
        signers.add(address)
    if report.proposer not in signers:
        _fail(
            "proposer_missing",
            f"{format_address(report.proposer)} proposed this and its signature is not here",
        )
    if len(signers) < document.minimum_signers:
        _fail(
            "signers_few",
            f"{len(signers)} members signed, epoch {document.epoch} needs "
            f"{document.minimum_signers}",
        )
    return tuple(sorted(signers))


def check_report(report: Report, document: Document) -> None:
    """Check that the report is one that `document` allows. Raises UnprovenError.

    That a later epoch had begun by the report's round is no objection: a quorum that had not
    heard of it yet may sign, and the two epochs' quorums overlap in honest members. That two had
    is one, which takes an `EpochBook` to see.
    """
    if report.epoch != document.hash:
        _fail("epoch_mismatch", f"the report names epoch 0x{report.epoch.hex()}")
    terms = document.terms_by_pair.get(report.pair)
    if terms is None:
        _fail("pair_unknown", f"epoch {document.epoch} has no pair {report.pair}")
    if report.decimals != terms.decimals:
        _fail("decimals_mismatch", f"{report.decimals} given, the epoch has {terms.decimals}")
    if not terms.min_price <= report.price <= terms.max_price:
        _fail(
            "price_range",
            f"{report.price} given, the epoch allows {terms.min_price} to {terms.max_price}",
        )
    if report.round != document.get_round(report.observed_at):
        _fail(
            "round_mismatch",
            f"round {report.round} is not the time {report.observed_at} rounded down to "
            f"{document.interval} s",
        )
    if report.round < document.start:
        _fail("round_early", f"round {report.round} is before the epoch's start {document.start}")
    if report.proposer not in document.index_by_address:
        _fail(
            "proposer_foreign",
            f"{format_address(report.proposer)} is no member of epoch {document.epoch}",
        )


class EpochBook:
    """Which epochs are known, and which of them the reader has a reason to believe.

    `documents` are those found beside the prices; each counts under the hash of its content,
    whatever it was filed under.
    `trusted` holds hashes that the reader brings from elsewhere. A hash vouches for its document
    and, because each names the hash of the one before, for all before it; never for a later one,
    which anybody could have appended. Without any (None), all known epochs count, and what is
    proven is proven only relative to them.
    """

    def __init__(
        self, documents: Iterable[Document], trusted: Collection[bytes] | None = None
    ) -> None:
        self._documents = {document.hash: document for document in documents}
        self._vouched: set[bytes] | None = None
        if trusted is not None:
            self._vouched = set()
            for epoch in trusted:
                self._vouch(epoch)
        self._left_from = self._compute_left_from()

    @property
    def is_relative(self) -> bool:
        """Whether nobody from outside vouches for any epoch here."""
        return self._vouched is None

    @property
    def newest(self) -> Document | None:
        """The known epoch that starts last, vouched for or not."""
        documents = self._documents.values()
        return max(documents, key=lambda d: (d.start, d.epoch, d.hash), default=None)

    def __contains__(self, epoch: object) -> bool:
        return epoch in self._documents

    def find(self, epoch: bytes, round_: int = 0) -> Document:
        """Return the document with this hash. Raises UnprovenError.

        Unknown, not vouched for, left for good before `round_`, or of a protocol whose rules this
        version cannot judge by.
        """
        document = self._documents.get(epoch)
        if document is None:
            _fail("epoch_unknown", f"no document with the hash 0x{epoch.hex()} is known")
        if self._vouched is not None and epoch not in self._vouched:
            _fail(
                "epoch_untrusted",
                f"epoch {document.epoch} (0x{epoch.hex()}) is neither a trusted one nor before "
                "one: trust its hash, or a later one's, if you have it from its members",
            )
        if round_ >= self._left_from.get(epoch, round_ + 1):
            _fail(
                "epoch_left",
                f"epoch {document.epoch} was left for good before round {round_}: two others had"
                " begun by then",
            )
        if document.protocol not in PROTOCOLS_KNOWN:
            _fail(
                "protocol_unknown",
                f"epoch {document.epoch} has protocol {document.protocol}, whose rules this version"
                " does not know; remedy: a newer version of gossip-price",
            )
        return document

    def _compute_left_from(self) -> dict[bytes, int]:
        """Return, by epoch, the start of the first epoch that is two after it."""
        left_from: dict[bytes, int] = {}
        for later in self.list_vouched():
            between = self._documents.get(bytes.fromhex(later.previous[2:]))
            if between is not None:
                left = bytes.fromhex(between.previous[2:])
                left_from[left] = min(later.start, left_from.get(left, later.start))
        return left_from

    def list_vouched(self) -> tuple[Document, ...]:
        """Return the known documents that count."""
        vouched = self._documents.keys() if self._vouched is None else self._vouched
        return tuple(doc for hash_, doc in self._documents.items() if hash_ in vouched)

    def _vouch(self, epoch: bytes) -> None:
        """Vouch for an epoch and the chain before it, as far as the links hold."""
        assert self._vouched is not None  # noqa: S101  only called once it is made
        after: Document | None = None
        while (document := self._documents.get(epoch)) is not None:
            if after is not None:
                try:
                    EpochChain((document, after))
                except DocumentError:
                    return
            self._vouched.add(epoch)
            after, epoch = document, bytes.fromhex(document.previous[2:])


def parse_hash(text: str) -> bytes:
    """Read 0x and 64 lower-case hex digits. Raises ValueError."""
    if len(text) != 66 or not text.startswith("0x") or set(text[2:]) - set("0123456789abcdef"):
        raise ValueError(
            f"{text[:_GIVEN_MAX]!r} given, allowed: 0x and 64 hex digits in lower case"
        )
    return bytes.fromhex(text[2:])


def _check_columns(row: ClaimedRow, report: Report) -> None:
    """Compare each signed column with the report, exactly."""
    columns: Mapping[str, tuple[object, object]] = {
        "epoch": (row.epoch, "0x" + report.epoch.hex()),
        "round": (row.round, report.round),
        "decimals": (row.decimals, report.decimals),
        "first_signer": (row.first_signer, format_address(report.proposer)),
        "price": (
            _parse_decimal(row.price),
            Decimal(report.price).scaleb(-report.decimals),
        ),
        "observed_time": (_parse_decimal(row.observed_at), Decimal(report.observed_at)),
    }
    for column, (given, signed) in columns.items():
        if given != signed:
            _fail("column_mismatch", f"{column} is {str(given)[:_GIVEN_MAX]}, signed: {signed}")


def _parse_decimal(text: str | None) -> Decimal | None:
    try:
        number = Decimal(text or "NaN")
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def recover_signer(
    digest: bytes, signer: str, signature: str, known: Mapping[bytes, bytes] = _NOTHING
) -> bytes:
    """Return the address that signed; it must be the one that is named. Raises UnprovenError."""
    try:
        claimed = parse_address(signer)
    except KeyFormatError as error:
        _fail("signer_malformed", str(error))
    checked = known.get(claimed)
    if checked is not None and signature == "0x" + checked.hex():
        return claimed
    try:
        given = bytes.fromhex(signature[2:])
    except ValueError:
        given = b""
    if len(given) != SIGNATURE_LENGTH or signature != "0x" + given.hex():
        _fail("signature_malformed", f"the one of {signer} is not 0x and 130 hex digits")
    try:
        address = recover(digest, given)
    except SignatureError as error:
        _fail("signature_invalid", f"the one of {signer}: {error}")
    if address != claimed:
        _fail("signature_invalid", f"the one of {signer} is not over this content by that key")
    return address


def _fail(reason: str, detail: str) -> NoReturn:
    raise UnprovenError(reason, detail)
