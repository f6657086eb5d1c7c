"""Row 2: what kubectl shows, explains, scales and refuses."""

from __future__ import annotations

from e2e.api import Object
from e2e.network import Network
from e2e.rounds import check_no_round_lost, get_round
from e2e.watching import Watch

COLUMNS = ["NAME", "READY", "NODES", "SIGNERS", "LAST", "PRICE", "AGE", "OF", "LAST", "PRICE"]


def test_kubectl_shows_explains_and_scales_a_network_that_loses_no_price(standing: Network) -> None:
    shown = standing.kubectl("get", "pn").splitlines()
    assert shown[0].split() == COLUMNS
    assert shown[1].split()[:4] == [standing.name, "True", "4", "3"]
    described = standing.kubectl("describe", "pn", standing.name)
    assert "prices are agreed on and stored" in described
    assert "EpochInForce" in described
    assert "distinct members that must sign" in standing.kubectl("explain", "pn.spec.consensus")

    first, identities = get_round(), standing.read_identities()
    with Watch(lambda: read_epoch(standing)) as epochs:
        scale(standing, 6)
        assert read_epoch(standing)[1:] == (6, 4)
        scale(standing, 4)
        assert read_epoch(standing)[1:] == (4, 3)
    # Neither way do both ends share enough signers: each goes by an epoch between, in plain sight.
    seen = epochs.list_changes()
    assert [number for number, _, _ in seen] == list(range(seen[0][0], seen[0][0] + 5)), seen
    assert [terms for _, *terms in seen] == [[4, 3], [5, 4], [6, 4], [6, 5], [4, 3]], seen
    kept = standing.read_identities()
    assert identities.items() <= kept.items()
    assert len(kept) == len(identities) + 2  # of the two that are gone, for when they come back
    check_no_round_lost(standing, "scaled 4 → 6 → 4", first)

    code, said = standing.cluster.try_kubectl(
        *("-n", standing.namespace, "scale", f"pn/{standing.name}", "--replicas=2")
    )
    assert code != 0
    assert "nodes.count" in said, said


def scale(network: Network, count: int) -> None:
    network.kubectl("scale", f"pn/{network.name}", f"--replicas={count}")
    network.wait(deadline_s=420)
    assert len(network.find_node_pods()) == count


def read_epoch(network: Network) -> tuple[int, int, int]:
    """Return number, members and minimum of the epoch in force, by the status."""
    status: Object = network.get()["status"]
    epoch = status["epoch"]
    return epoch["number"], epoch["members"], status["minimumSigners"]
