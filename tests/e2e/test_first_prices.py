"""Row 1: from nothing to prices that somebody else proves."""

from __future__ import annotations

import time
from pathlib import Path

from e2e import measured
from e2e.cluster import Cluster
from e2e.database import check_nobody_signed_twice
from e2e.network import Network, make_network
from e2e.prover import prove
from e2e.release import Release
from e2e.waiting import eventually

QUORUM = 3


def test_applied_it_becomes_ready_and_outsiders_prove_its_prices(
    cluster: Cluster, release: Release, tmp_path: Path
) -> None:
    network = Network(cluster, "prices")
    network.make_namespace()
    network.apply(make_network())
    network.wait()
    first = network.database.wait_for_price()
    if release.began:
        took_s = time.monotonic() - release.began
        measured.report("from helm install to the first stored price", f"{took_s:.0f} s")
    assert len(first.signers) >= QUORUM
    eventually("three prices are stored", lambda: len(network.database.read()) >= 3)
    prices = network.database.read()
    assert all(len(price.signers) >= QUORUM for price in prices)
    check_nobody_signed_twice(prices)
    said = prove(network.database, network.get_document(), tmp_path)
    assert said["rows"] >= len(prices)
