"""compose.yaml, container by container: a network that agrees, stores, and survives a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from e2e import images
from e2e.compose_file import Composed, composed, read_compose
from e2e.programs import REMEDIES, ROOT, attempt, run
from e2e.waiting import eventually

#: Two suites on one engine do not end each other.
PROJECT = f"gossip-price-compose-{os.getpid()}"
IMAGE = f"{images.REPOSITORY}/node:compose"
NODES = ("node-1", "node-2", "node-3", "node-4")
PROGRAMS = (*NODES, "bootstrap")
FEED = "http://feed:8000/v2/exchange-rates?currency={base}"
#: As in a PriceNetwork; Compose fills it in after it has read the YAML.
SOURCES = [{"name": "feed", "url": FEED, "path": ["data", "rates", "{quote}"]}]


@pytest.fixture(scope="module")
def network() -> Iterator[Composed]:
    """The containers of the file, with a price source of this machine in place of an exchange."""
    answer = attempt("docker", "version")
    assert answer.returncode == 0, f"no Docker engine answers: {REMEDIES['docker']}"
    # Under a name of its own: what the cluster's tests build may be of another moment.
    with images.building():
        run("make", "images", f"IMAGES={images.REPOSITORY}", "TAG=compose", deadline_s=1_200)
    given = {
        "GOSSIP_PRICE_IMAGE": IMAGE,
        "GOSSIP_PRICE_INTERVAL": "15s",
        "GOSSIP_PRICE_SOURCES": json.dumps(SOURCES),
        "POSTGRES_IMAGE": images.get_postgres(),
    }
    with composed(read_compose(ROOT / "compose.yaml", given), PROJECT) as network:
        network.up()
        feed = ("feed", "--host", "0.0.0.0", "--port", "8000")  # noqa: S104 - a container's own
        name = network.get_container("feed")
        options = ("--network", PROJECT, "--network-alias", "feed", "--name", name, "--detach")
        try:
            run("docker", "run", *options, IMAGE, *feed)
            yield network
        finally:
            attempt("docker", "rm", "--force", name)


def wait_stored(network: Composed, more_than: int) -> int:
    """Return how many prices are stored, every one proven, once there are more."""

    def ask() -> int | None:
        code, said = network.run_once("verify", *VERIFY, "--json")
        assert code == 0, said
        rows = int(json.loads(said)["rows"])
        return rows if rows > more_than else None

    return eventually("another proven price is stored", ask, deadline_s=180, every_s=3)


VERIFY = (
    "verify",
    "--database=postgresql://gossip:gossip@postgres:5432/prices",
    "--network=/var/lib/gossip-price/network.json",
)


def test_prices_are_stored_and_each_is_proven(network: Composed) -> None:
    assert wait_stored(network, 0) >= 1

    def find_healthy() -> bool:
        return all(network.is_healthy(service) for service in PROGRAMS)

    eventually("every node is healthy", find_healthy)
    code, said = network.run_once("verify")
    assert code == 0, said
    assert "all proven" in said


def test_every_program_is_nobody_and_can_write_nothing_but_its_volume(network: Composed) -> None:
    for service in PROGRAMS:
        (told,) = json.loads(run("docker", "inspect", network.get_container(service)))
        assert told["Config"]["User"] == "65532:65532"
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        assert told["HostConfig"]["CapDrop"] == ["ALL"]


def test_a_second_start_finds_the_same_network(network: Composed) -> None:
    first = run("docker", "logs", network.get_container("network"))
    code, said = network.run_once("network")
    assert code == 0, said
    assert said == first
    code, said = network.run_once("migrate")
    assert code == 0, said
    assert "already" in said


def test_told_to_end_each_leaves_by_itself_and_goes_on_afterwards(network: Composed) -> None:
    stored = wait_stored(network, 0)
    containers = [network.get_container(service) for service in PROGRAMS]
    run("docker", "stop", "--time", "10", *containers)
    codes = run("docker", "inspect", "--format", "{{.State.ExitCode}}", *containers).split()
    assert codes == ["0"] * len(PROGRAMS), "137 is a process that SIGTERM did not reach"
    run("docker", "start", *containers)
    assert wait_stored(network, stored) > stored
