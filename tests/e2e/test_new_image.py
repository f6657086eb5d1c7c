"""Row 5: a new image goes from node to node."""

from __future__ import annotations

from e2e import measured
from e2e.images import NODE, NODE_NEXT
from e2e.network import Network
from e2e.rounds import check_no_round_lost, get_round
from e2e.watching import Watch

QUORUM = 3


def test_a_new_image_goes_from_node_to_node_and_never_takes_the_quorum(standing: Network) -> None:
    first = get_round()
    image = str(NODE if read_images(standing) == {str(NODE_NEXT)} else NODE_NEXT)
    with Watch(standing.count_ready_nodes, every_s=0.5) as ready:
        standing.patch_spec(nodes={"image": image})
        standing.wait(deadline_s=600)
    assert read_images(standing) == {image}
    least = min(count for _, count in ready.seen)
    assert least >= QUORUM
    measured.report("a new image", f"at least {least} of 4 nodes were ready at any time")
    check_no_round_lost(standing, "a new image, node by node", first)


def read_images(network: Network) -> set[str]:
    pods = network.find_node_pods().values()
    return {pod["spec"]["containers"][0]["image"] for pod in pods}
