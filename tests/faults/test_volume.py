"""A member whose volume is lost for good, among others that remember hours.

What they remember is written into their journals before the test begins: slots of five minutes
have to be over before the hash trees hold them, and a test has no hour. They remember it as stored,
in a table that holds none of it: the database is an old backup, which their audits mend meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from faults.fault_network import get_told
from faults.fault_table import report
from faults.journal_file import read_journal
from faults.real_network import RealNetwork
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.keyfiles import read_key
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.adapters.signer import LocalSigner
from gossip_price.core.events import ProvenRecord, Record, StoredRecord
from gossip_price.core.types import Entry, Report, Signature

VICTIM: Final = 3
KEEPERS: Final = (0, 1, 2)
ROUNDS: Final = 600
#: The past ends before the last slot that is closed now.
AGO_S: Final = 900


def make_past(network: RealNetwork, first: int) -> list[ProvenRecord]:
    """Return what the keepers have signed of ROUNDS rounds from `first` on, with real keys."""
    document = network.documents[0]
    signers = [LocalSigner(read_key(network.signers[node])) for node in KEEPERS]
    terms = document.pairs[0]
    past = []
    for number in range(ROUNDS):
        round_ = first + number * document.interval
        claim = Report(
            document.hash, terms.pair, round_, 2_000 * 10**terms.decimals + number,
            terms.decimals, round_ + 1, document.addresses[KEEPERS[0]],
        )  # fmt: skip
        id_ = claim.compute_id(document.separator)
        signatures = tuple(
            Signature(node, signer.sign(id_)) for node, signer in zip(KEEPERS, signers, strict=True)
        )
        past.append(ProvenRecord(id_, Entry(claim, signatures), (round_ + 2) * 1000))
    return past


def remember(network: RealNetwork, node: int, records: Sequence[Record], birth_s: int) -> None:
    """Leave a journal as an earlier life of this node would have."""
    document = network.documents[0]
    journal = SqliteJournal(
        network.journals[node],
        address=document.addresses[node],
        network_id=bytes.fromhex(document.network_id.removeprefix("0x")),
        now_ms=birth_s * 1000,
    )
    journal.write(records)
    journal.close()


def test_who_lost_its_volume_learns_what_it_missed_from_its_peers_and_not_from_the_database(
    place: Path, postgres: EmbeddedPostgres, template: str
) -> None:
    """600 rounds by the hash tree, over real libp2p; its own audit reads, and teaches nothing."""
    span_s = ROUNDS * 5
    network = RealNetwork(place, postgres, template, age_s=AGO_S + span_s + 60)
    try:
        interval = network.documents[0].interval
        first = (int(time.time()) - AGO_S - span_s) // interval * interval
        past = make_past(network, first)
        for node in KEEPERS:
            stored = [StoredRecord(record.id, confirmed=True) for record in past]
            remember(network, node, [*past, *stored], first - 3600)
        assert not network.journals[VICTIM].exists()
        network.start()
        missing = {record.id for record in past}
        network.wait_for(
            lambda _: missing <= read_journal(network.journals[VICTIM]).proven.keys(),
            "journal of the victim with all that the others remember",
        )
        network.wait_for_told("caught_up", node=VICTIM)
        healed = {fact.values[3] for fact in get_told(network.facts.all, "healed", VICTIM)}
        assert not healed & missing, "it was named as open, and not walked to"
        kept = read_journal(network.journals[VICTIM]).proven
        assert {kept[id_][1] for id_ in missing} == {KEEPERS}
        network.calm_down()
        report("a volume lost; an old backup", f"{ROUNDS} rounds missed", network.finish())
    finally:
        network.close()
