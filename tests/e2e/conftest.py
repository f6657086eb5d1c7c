"""One cluster, one operator, and a few networks for all tests; each makes what is not there yet."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from e2e import artefacts, images, measured, monitoring, port_forward, price_feed
from e2e.cluster import Cluster, open_cluster
from e2e.external_postgres import PASSWORD, ExternalPostgres, make_external_network
from e2e.network import Network, make_network
from e2e.outage import Outage
from e2e.release import NAMESPACE as RELEASE_NAMESPACE
from e2e.release import Release

#: The order in which the files run: what breaks machines comes last.
_ORDER: Final = (
    "test_first_prices",
    "test_external_postgres",
    "test_scaling",
    "test_pod_security",
    "test_network_policies",
    "test_pairs",
    "test_page",
    "test_prometheus",
    "test_outage",
    "test_strangers",
    "test_joining",
    "test_survival",
    "test_new_image",
    "test_leaving",
    "test_operator_upgrade",
    "test_drain",
    "test_compose",
)
_CLUSTER = pytest.StashKey[Cluster]()
_BEGAN: Final = time.monotonic()


def pytest_configure() -> None:
    # A deadline's SIGTERM ends as Ctrl-C does, so that no cluster is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ours = [item for item in items if item.path.parent == here]
    ours.sort(key=lambda item: _ORDER.index(item.path.stem))
    items[:] = [item for item in items if item not in ours] + ours


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster, with all images and the price source."""
    built = images.build()
    with open_cluster(artefacts.FOLDER) as cluster:
        request.config.stash[_CLUSTER] = cluster
        cluster.load(built)
        cluster.apply(*price_feed.make_namespace(), *price_feed.make_feed("feed", str(images.NODE)))
        measured.report("images built, cluster made", f"{time.monotonic() - _BEGAN:.0f} s")
        yield cluster


@pytest.fixture(scope="session")
def release(cluster: Cluster) -> Release:
    """The operator, installed by helm."""
    release = Release(cluster)
    if release.is_installed:  # in a cluster that was kept
        release.uninstall()
    monitoring.make_kinds(cluster)  # as where the Prometheus operator runs, before anybody looks
    release.install()
    return release


@pytest.fixture
def standing(cluster: Cluster, release: Release) -> Network:
    """The network of examples/network.yaml, ready: as every test leaves it to the next."""
    network = Network(cluster, "prices")
    network.make_namespace()
    network.apply(make_network())
    network.wait()
    return network


@pytest.fixture
def two_pairs(cluster: Cluster, release: Release) -> Network:
    """A network of two pairs, each price the median of two sources, ready."""
    cluster.apply(*price_feed.make_feed("second-feed", str(images.NODE)))
    network = Network(cluster, "two-pairs", "two-pairs")
    network.make_namespace()
    sources = [price_feed.make_source(name) for name in ("feed", "second-feed")]
    price = {"sources": sources, "minSources": 2}
    pairs = [{"name": "ETH-USD"}, {"name": "BTC-USD"}]
    network.apply(make_network("two-pairs", pairs=pairs, price=price))
    network.wait()
    return network


@pytest.fixture(scope="session")
def external(cluster: Cluster, release: Release) -> tuple[Network, ExternalPostgres]:
    """A server in a namespace of its own, and the network that is to store its prices there."""
    network = Network(cluster, "external")
    network.make_namespace()
    postgres = ExternalPostgres(network)
    postgres.start()
    network.database = postgres.database
    return network, postgres


@pytest.fixture(scope="session")
def connected(external: tuple[Network, ExternalPostgres]) -> tuple[Network, ExternalPostgres]:
    """The network with a database of somebody else's, ready."""
    network, postgres = external
    postgres.write_secret(PASSWORD)
    network.apply(make_external_network())
    network.wait()
    return external


@pytest.fixture(scope="session")
def outage(connected: tuple[Network, ExternalPostgres]) -> Outage:
    """The database is gone for five minutes from now on."""
    outage = Outage(*connected)
    outage.begin()
    return outage


@pytest.fixture(autouse=True)
def _close_forwards() -> Iterator[None]:
    yield
    port_forward.close_all()


@pytest.fixture(autouse=True)
def _begin_the_outage_early(request: pytest.FixtureRequest) -> None:
    """Let other tests run in those five minutes, from the first that follows row 8."""
    chosen = {item.path.stem for item in request.session.items}
    number = _ORDER.index(request.node.path.stem)
    if "test_outage" in chosen and number > _ORDER.index("test_external_postgres"):
        request.getfixturevalue("outage")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cluster = item.config.stash.get(_CLUSTER, None)
    if report.failed and cluster is not None:
        folder = artefacts.collect(cluster, item.name, RELEASE_NAMESPACE)
        report.sections.append(("artefacts", f"events, logs and descriptions are in {folder}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if measured.LINES:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(measured.LINES))
        terminalreporter.write_line(f"the whole suite: {time.monotonic() - _BEGAN:.0f} s")
