"""One cluster, one operator, and a few networks for all tests; each makes what is not there yet."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest

from e2e import artefacts, images, measured, monitoring, port_forward, price_feed
from e2e.cluster import Cluster, open_cluster
from e2e.early import begin_acme, begin_two_pairs
from e2e.external_postgres import PASSWORD, ExternalPostgres, make_external_network
from e2e.federation import Federation
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
)
#: Needs no cluster, and comes after all that do.
_CONTAINERS: Final = "test_compose"
_CLUSTER = pytest.StashKey[Cluster]()
_BEGAN: Final = time.monotonic()


def pytest_configure() -> None:
    # A deadline's SIGTERM ends as Ctrl-C does, so that no cluster is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = (*_ORDER, _CONTAINERS)
    items.sort(key=lambda item: order.index(item.path.stem))


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
        del request.config.stash[_CLUSTER]  # what fails from here on finds none to look at


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


@pytest.fixture(scope="session")
def two_pairs_begun(cluster: Cluster, release: Release) -> Network:
    """The network of two pairs, on its way."""
    return begin_two_pairs(cluster)


@pytest.fixture
def two_pairs(two_pairs_begun: Network) -> Network:
    """A network of two pairs, each price the median of two sources, ready."""
    two_pairs_begun.wait()
    return two_pairs_begun


@pytest.fixture(scope="session")
def acme_begun(cluster: Cluster, release: Release) -> Network:
    """An organisation's own network, on its way."""
    return begin_acme(cluster)


@pytest.fixture
def acme(acme_begun: Network) -> Network:
    """A network of three that its own operator leads, with a stored price."""
    acme_begun.wait()
    acme_begun.database.wait_for_price()
    return acme_begun


@pytest.fixture(scope="session")
def federation(
    cluster: Cluster, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Federation:
    """Two organisations with one network, on its way."""
    federation = Federation(cluster, tmp_path_factory.mktemp("federation"))
    federation.start()
    return federation


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
def _begin_early(request: pytest.FixtureRequest) -> None:
    """Let what later tests need begin while others run: networks, and five minutes of an outage.

    Not before the second file, for the first one takes the time; the outage after row 8.
    """
    stem = request.node.path.stem
    if stem == _CONTAINERS or stem == _ORDER[0]:
        return
    number = _ORDER.index(stem)
    later = [item for item in request.session.items if item.path.stem != _CONTAINERS]
    needed = {name for item in later for name in getattr(item, "fixturenames", ())}
    for name in ("two_pairs_begun", "federation", "acme_begun"):
        if name in needed:
            request.getfixturevalue(name)
    if "outage" in needed and number > _ORDER.index("test_external_postgres"):
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of several processes: its figures go to the one that prints
        output["measured"] = measured.LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    measured.LINES.extend(getattr(node, "workeroutput", {}).get("measured", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if measured.LINES:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(measured.LINES))
        terminalreporter.write_line(f"the whole suite: {time.monotonic() - _BEGAN:.0f} s")
