"""Records for the journal's tests: small, valid, and different where a number differs."""

from __future__ import annotations

from pathlib import Path

from gossip_price.adapters.journal import SqliteJournal
from gossip_price.core.events import ProvenRecord, Vote
from gossip_price.core.types import Entry, Report, Signature

ADDRESS = bytes(range(20))
NETWORK_ID = bytes(range(32))
BIRTH_MS = 1_700_000_000_123


def open_journal(path: Path, **changes: object) -> SqliteJournal:
    values = {"address": ADDRESS, "network_id": NETWORK_ID, "now_ms": BIRTH_MS, **changes}
    return SqliteJournal(path, **values)  # type: ignore[arg-type]  # tests give what they like


def make_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def make_report(round_: int, price: int = 1, pair: str = "ETH-USD") -> Report:
    return Report(bytes(32), pair, round_, price, 8, round_, ADDRESS)


def make_vote(round_: int, number: int = 0) -> Vote:
    return Vote(f"ETH-USD|{round_}", make_id(number), make_report(round_, number))


def make_proven(
    round_: int,
    number: int,
    signers: int = 3,
    last_signed_ms: int = 0,
    pair: str = "ETH-USD",
) -> ProvenRecord:
    signatures = tuple(Signature(member, bytes(65)) for member in range(signers))
    entry = Entry(make_report(round_, pair=pair), signatures)
    return ProvenRecord(make_id(number), entry, last_signed_ms, ("coinbase", "kraken"), signers)
