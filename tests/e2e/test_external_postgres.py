"""Row 8: a database of the user's own, at first with a wrong password."""

from __future__ import annotations

from e2e.external_postgres import PASSWORD, ExternalPostgres, make_external_network
from e2e.network import Network
from e2e.rounds import check_no_round_lost, get_round


def test_a_wrong_password_is_told_and_a_corrected_one_is_taken_up_by_itself(
    external: tuple[Network, ExternalPostgres],
) -> None:
    network, postgres = external
    postgres.write_secret("wrong")
    network.apply(make_external_network())
    told = network.wait_condition("PostgresReady", "False", "MigrationFailing")
    assert 'password authentication failed for user "prices"' in told["message"]
    assert "remedy: check the URL in the Secret" in told["message"]
    network.wait_condition("NodesReady", "True")
    network.wait_condition("PricesFlowing", "False", "NotStored")
    pods = {pod["metadata"]["uid"] for pod in network.find_node_pods().values()}
    first = get_round()

    postgres.write_secret(PASSWORD)
    network.wait()
    assert {pod["metadata"]["uid"] for pod in network.find_node_pods().values()} == pods
    check_no_round_lost(network, "from a wrong password to the right one", first)
