"""Sample networks for tests: fresh documents whose keys the test holds.

Everything follows from the arguments: the same call gives the same keys, hashes and ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gossip_price import crypto
from gossip_price.core.types import Entry, Report, Signature, StoredRow
from gossip_price.network.document import (
    PROTOCOL_VERSION,
    ZERO_HASH,
    Document,
    Member,
    Mode,
    PairTerms,
    compute_fallback_delay,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.keys import compute_peer_id, format_address

#: A midnight (UTC) in 2027: a multiple of every interval that divides a day.
START: Final = 20_834 * 86_400
PAIR: Final = "ETH-USD"
TERMS: Final = PairTerms(PAIR, 8, 1, 10**15)


@dataclass(frozen=True)
class SampleNetwork:
    """A document and its members' private keys, in member order."""

    document: Document
    signing_secrets: tuple[bytes, ...] = field(repr=False)
    identity_secrets: tuple[bytes, ...] = field(repr=False)

    def round(self, index: int) -> int:
        """Return the `index`-th round of this epoch, named by its start in Unix seconds."""
        return self.document.start + index * self.document.interval

    def report(
        self,
        index: int = 0,
        price: int = 250_000_000_000,
        proposer: int = 0,
        *,
        pair: str = PAIR,
        observed_at: int | None = None,
    ) -> Report:
        """Return a valid report of the `index`-th round, proposed by member `proposer`."""
        round_ = self.round(index)
        return Report(
            epoch=self.document.hash,
            pair=pair,
            round=round_,
            price=price,
            decimals=self.document.terms_by_pair[pair].decimals,
            observed_at=round_ if observed_at is None else observed_at,
            proposer=self.document.addresses[proposer],
        )

    def compute_id(self, report: Report) -> bytes:
        """Return the report's id in this network."""
        return report.compute_id(self.document.separator)

    def sign(self, report: Report, member: int) -> bytes:
        """Return member `member`'s 65 bytes over the report's id."""
        return crypto.sign(self.signing_secrets[member], self.compute_id(report))

    def entry(self, report: Report, members: tuple[int, ...] = (0,)) -> Entry:
        """Return the report with the signatures of `members`."""
        return Entry(report, tuple(Signature(m, self.sign(report, m)) for m in members))

    def row(
        self, report: Report, members: tuple[int, ...] | None = None, *, writer: int = 0
    ) -> StoredRow:
        """Return the report as a row, signed by `members` (by default just enough of them)."""
        if members is None:
            first = self.document.index_by_address[report.proposer]
            others = [m for m in range(len(self.signing_secrets)) if m != first]
            members = (first, *others[: self.document.minimum_signers - 1])
        addresses = self.document.addresses
        return StoredRow(
            id=self.compute_id(report),
            report=report,
            signatures=tuple(sorted((addresses[m], self.sign(report, m)) for m in members)),
            last_signed_ms=report.observed_at * 1000 + 1_250,
            sources=("coinbase", "simulated"),
            spread_bp=7,
            writer=addresses[writer],
        )

    def rows(self, count: int, *, first: int = 0) -> list[StoredRow]:
        """Return `count` rows of consecutive rounds, proposers taking turns."""
        size = len(self.signing_secrets)
        return [
            self.row(self.report(index, 250_000_000_000 + index, index % size))
            for index in range(first, first + count)
        ]

    def follow(
        self, *, start_index: int, members: int | None = None, seed: str = ""
    ) -> SampleNetwork:
        """Return the next epoch of this network, starting at our `start_index`-th round."""
        size = len(self.signing_secrets) if members is None else members
        return make_network(
            size,
            interval=self.document.interval,
            mode=self.document.mode,
            pairs=self.document.pairs,
            network_id=self.document.network_id,
            epoch=self.document.epoch + 1,
            previous="0x" + self.document.hash.hex(),
            start=self.round(start_index),
            seed=seed,
        )


def make_network(
    members: int = 4,
    *,
    interval: int = 15,
    mode: Mode | str = Mode.ROUNDS,
    minimum_signers: int | None = None,
    faulty: int | None = None,
    fallback_delay: int | None = None,
    skew: int = 5,
    settle: int = 30,
    settle_cap: int | None = None,
    max_deviation: int = 100,
    pairs: tuple[PairTerms, ...] = (TERMS,),
    network_id: str | None = None,
    epoch: int = 1,
    previous: str = ZERO_HASH,
    start: int = START,
    seed: str = "",
) -> SampleNetwork:
    """Make a network of `members` with deterministic keys; another `seed` gives other keys.

    What is left out is what the product derives (minimumSigners, f, fallback delay).
    """
    mode = Mode(mode)
    keys = sorted(
        (crypto.get_address(signing), signing, _make_secret(seed, "identity", number))
        for number in range(members)
        for signing in [_make_secret(seed, "signing", number)]
    )
    faulty = compute_faulty_default(members) if faulty is None else faulty
    if minimum_signers is None:
        minimum_signers = min(members, compute_minimum_signers(mode, members, faulty))
    document = Document(
        protocol=PROTOCOL_VERSION,
        network_id=network_id or "0x" + crypto.keccak256(f"network {seed}".encode()).hex(),
        epoch=epoch,
        previous=previous,
        start=start,
        interval=interval,
        mode=mode,
        minimum_signers=minimum_signers,
        faulty=faulty,
        fallback_delay=fallback_delay or compute_fallback_delay(interval),
        skew=skew,
        settle=settle,
        settle_cap=3 * settle if settle_cap is None else settle_cap,
        max_deviation=max_deviation,
        pairs=tuple(sorted(pairs, key=lambda terms: terms.pair)),
        members=tuple(
            Member(format_address(address), compute_peer_id(identity))
            for address, _, identity in keys
        ),
    )
    return SampleNetwork(
        document,
        tuple(signing for _, signing, _ in keys),
        tuple(identity for _, _, identity in keys),
    )


def _make_secret(seed: str, use: str, number: int) -> bytes:
    return crypto.keccak256(f"gossip-price test key {seed} {use} {number}".encode())
