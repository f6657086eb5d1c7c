"""One price as JSON, the same everywhere: to write it, and to read it back. Pure.

    {"id", "networkId", "report": {epoch, pair, round, price, decimals, observedAt, proposer},
     "signatures": [{"signer", "signature"}], "document": {the epoch}, …}

`price` is the signed integer as a string, in units of 10^-decimals. What is not signed stands
under "local". The API says beside the report what people read first (`SHOWN`). A list is
{"prices": […], "next": cursor}. Reading checks shapes only; `core.proof` says what is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta

from gossip_price.core.proof import parse_hash
from gossip_price.core.types import PairName, Report, UInt
from gossip_price.network.document import INTEGER_MAX, Document, DocumentError
from gossip_price.network.keys import KeyFormatError, format_address, parse_address

SHOWN: Final = ("pair", "price", "time", "observedAt")
"""What may stand beside the report for people; it must say what the report says."""


class PriceFormatError(ValueError):
    """This JSON is no price; names the field, what was given and what is allowed."""


class Price(msgspec.Struct, frozen=True):
    """A price as somebody hands it to us: well-formed, and not yet proven.

    `signatures` are (signer, signature) as text, as they stood in the JSON; `shown` are those of
    `SHOWN` that stood there, whatever was in them.
    """

    id: str
    network_id: str
    report: Report
    signatures: tuple[tuple[str, str], ...]
    document: Document | None
    shown: Mapping[str, Any]


class _ReportJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    epoch: str
    pair: PairName
    round: UInt
    price: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,15}$")]
    decimals: Annotated[int, Meta(ge=0, le=18)]
    observed_at: UInt
    proposer: str


class _SignatureJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signer: str
    signature: str


class _PriceJson(msgspec.Struct, frozen=True, rename="camel"):
    """The fields that prove, and those of `SHOWN`; what else stands there is not read."""

    id: str
    network_id: str
    report: _ReportJson
    signatures: Annotated[tuple[_SignatureJson, ...], Meta(max_length=256)]
    document: dict[str, Any] | None = None
    pair: Any = UNSET
    price: Any = UNSET
    time: Any = UNSET
    observed_at: Any = UNSET


_decoder: Final = msgspec.json.Decoder(_PriceJson)


def format_price(
    report: Report,
    signatures: Iterable[tuple[bytes, bytes]],
    document: Document,
    *,
    local: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the JSON of a price; `signatures` are (20-byte address, 65 bytes).

    `local` holds what is not signed (source, spread, writer, times), ready for JSON.
    """
    mapping: dict[str, Any] = {
        "id": "0x" + report.compute_id(document.separator).hex(),
        "networkId": document.network_id,
        "report": format_report(report),
        "signatures": [
            {"signer": format_address(signer), "signature": "0x" + signature.hex()}
            for signer, signature in sorted(signatures)
        ],
        "document": document.to_mapping(),
    }
    if local is not None:
        mapping["local"] = dict(local)
    return mapping


def format_report(report: Report) -> dict[str, Any]:
    """Return the report's fields as JSON values, the price as a string."""
    return {
        "epoch": "0x" + report.epoch.hex(),
        "pair": report.pair,
        "round": report.round,
        "price": str(report.price),
        "decimals": report.decimals,
        "observedAt": report.observed_at,
        "proposer": format_address(report.proposer),
    }


def format_list(prices: Sequence[Mapping[str, Any]], cursor: str | None) -> dict[str, Any]:
    """Return the JSON of a list; `cursor` asks for what follows, None at the end."""
    return {"prices": list(prices), "next": cursor}


def parse_price(raw: bytes | str | Mapping[str, Any]) -> Price:
    """Read one price. Raises PriceFormatError, which names the field."""
    try:
        if isinstance(raw, bytes | str):
            read = _decoder.decode(raw)
        else:
            read = msgspec.convert(raw, _PriceJson)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PriceFormatError(str(error)) from error
    price = int(read.report.price)
    if price > INTEGER_MAX:
        raise PriceFormatError(f"report.price: {price} given, allowed: 1 to {INTEGER_MAX}")
    _parse("id", parse_hash, read.id)
    _parse("networkId", parse_hash, read.network_id)
    report = Report(
        epoch=_parse("report.epoch", parse_hash, read.report.epoch),
        pair=read.report.pair,
        round=read.report.round,
        price=price,
        decimals=read.report.decimals,
        observed_at=read.report.observed_at,
        proposer=_parse("report.proposer", parse_address, read.report.proposer),
    )
    document = None
    if read.document is not None:
        document = _parse("document", Document.parse, read.document)
        if document.network_id != read.network_id:
            raise PriceFormatError(
                f"networkId: {read.network_id} given, the document has {document.network_id}"
            )
    signatures = tuple((item.signer, item.signature) for item in read.signatures)
    stood = (read.pair, read.price, read.time, read.observed_at)
    shown = {name: value for name, value in zip(SHOWN, stood, strict=True) if value is not UNSET}
    return Price(read.id, read.network_id, report, signatures, document, shown)


def _parse(field: str, parse: Any, value: Any) -> Any:
    try:
        return parse(value)
    except (ValueError, KeyFormatError, DocumentError) as error:
        raise PriceFormatError(f"{field}: {error}") from error
