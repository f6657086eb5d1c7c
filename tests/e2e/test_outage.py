"""Row 9: five minutes without a database."""

from __future__ import annotations

from e2e.external_postgres import ExternalPostgres
from e2e.network import Network
from e2e.outage import Outage
from e2e.rounds import check_no_round_lost


def test_what_settles_while_the_database_is_gone_is_stored_when_it_is_back(
    connected: tuple[Network, ExternalPostgres], outage: Outage
) -> None:
    network, _ = connected
    outage.wait_over()
    # A node's readiness does not depend on Postgres: it signs, proves and keeps.
    assert {nodes_ready for nodes_ready, _, _ in outage.seen} == {"True"}
    flowing = [said for _, *said in outage.seen]
    assert ["False", "NotStored"] in flowing
    since = flowing.index(["False", "NotStored"])
    assert flowing[since:] == [["False", "NotStored"]] * (len(flowing) - since)
    assert since < len(flowing) / 3, flowing
    network.wait()
    check_no_round_lost(network, "without a database for five minutes", outage.first)
    network.kubectl("delete", "namespace", network.namespace, "--wait=false")
