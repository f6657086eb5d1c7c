"""Row 10: nobody reaches the database or the peers' port but who must, and who must does."""

from __future__ import annotations

from e2e.cluster import Cluster
from e2e.network import Network
from e2e.rounds import check_no_round_lost, get_round
from e2e.stranger import Stranger
from e2e.waiting import eventually

#: How soon a change of policies is heeded.
_HEEDED_S = 60.0


def test_strangers_reach_neither_database_nor_peers_but_for_the_policies(
    cluster: Cluster, standing: Network
) -> None:
    first = get_round()
    stranger = Stranger(cluster)
    stranger.start()
    closed = {(get_ip(standing, "postgres"), 5432), (get_ip(standing, "node"), 8000)}
    closed.add((get_ip(standing, "bootstrap"), 8000))
    # Prices are public, so it is not the stranger's own network that is in the way; but whoever
    # enforces policies must have heard of the pod first.
    wait_until_reached(stranger, {(get_ip(standing, "node"), 8080)}, "reached")
    wait_until_reached(stranger, closed, "blocked")

    standing.patch_spec(paused=True)
    standing.wait_condition("Reconciling", "True", "Paused")
    standing.kubectl("delete", "networkpolicies", "--all")
    wait_until_reached(stranger, closed, "reached")  # what the test is worth

    standing.patch_spec(paused=False)
    standing.wait()
    wait_until_reached(stranger, closed, "blocked")
    check_no_round_lost(standing, "policies taken away and put back", first)


def wait_until_reached(stranger: Stranger, places: set[tuple[str, int]], wanted: str) -> None:
    def ask() -> bool:
        return {stranger.try_to_reach(*place) for place in places} == {wanted}

    eventually(f"{places} are {wanted}", ask, _HEEDED_S)


def get_ip(network: Network, component: str) -> str:
    address: str = network.list_pods(component)[0]["status"]["podIP"]
    return address
