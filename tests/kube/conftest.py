from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kube_api import Api
from kube_cluster import OPERATORS, Cluster, run_cluster
from kube_kubelet import Kubelet, stop_task
from kube_operator import Operator
from kube_rights import find_refusals

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
        refused = find_refusals(running.read_requests(*OPERATORS))
        assert not refused, f"the operator asked for what its rights leave out: {refused}"


@pytest.fixture
async def api(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """A namespace of the test's own, as a person sees it."""
    async with cluster.make_client() as client:
        name = f"test-{next(_NUMBERS)}"
        answer = await client.post("/api/v1/namespaces", json={"metadata": {"name": name}})
        assert answer.status_code == 201, answer.text
        yield Api(client, name)


@pytest.fixture
async def kubelet(cluster: Cluster, api: Api) -> AsyncIterator[Kubelet]:
    async with cluster.make_client("kubelet") as client:
        kubelet = Kubelet(Api(client, api.namespace))
        running = asyncio.create_task(kubelet.run())
        yield kubelet
        failed = running.done() and not running.cancelled()
        await stop_task(running) if not failed else running.result()
        await kubelet.aclose()


@pytest.fixture
async def operator(cluster: Cluster, api: Api) -> AsyncIterator[Operator]:
    operator = Operator(cluster, api.namespace)
    await operator.start()
    yield operator
    await operator.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kube)
