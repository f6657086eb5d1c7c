"""What is rendered, given to a real API server: known to its schemas, and admitted by its rules."""

from __future__ import annotations

import json

import httpx
import pytest

from gossip_price_operator.drift import holds
from gossip_price_operator.inputs import Manifest
from kube_api import Api
from rendered import CASES, render_all

RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


async def apply_dry(api: Api, plural: str, manifest: Manifest) -> httpx.Response:
    """Apply strictly, without keeping it: a field that the server doesn't know is an error."""
    return await api.client.patch(
        api.path(plural, manifest["metadata"]["name"]),
        params={"fieldManager": "test", "fieldValidation": "Strict", "dryRun": "All"},
        content=json.dumps(manifest),
        headers={"content-type": "application/apply-patch+yaml"},
    )


def place(api: Api, manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": api.namespace}}


@pytest.mark.parametrize("case", CASES)
async def test_the_server_takes_every_rendered_object_and_knows_each_of_its_fields(
    api: Api, case: str
) -> None:
    for manifest in render_all(CASES[case]):
        if manifest["apiVersion"].startswith("monitoring."):
            continue  # the Prometheus operator's kinds are not on this server
        placed = place(api, manifest)
        if placed["kind"] == "Secret" and "data" not in placed:
            continue  # labels alone, for a Secret that is there
        plural = f"{manifest['kind'].lower()}s".replace("ys", "ies")
        answer = await apply_dry(api, plural, placed)
        assert answer.status_code in (200, 201), answer.text
        assert holds(answer.json(), placed), "what the server makes of it would be drift"


@pytest.mark.parametrize("case", CASES)
async def test_every_pod_is_admitted_where_pod_security_is_restricted(api: Api, case: str) -> None:
    labelled = await api.client.patch(
        f"/api/v1/namespaces/{api.namespace}",
        json=RESTRICTED,
        headers={"content-type": "application/merge-patch+json"},
    )
    assert labelled.status_code == 200, labelled.text
    manifests = render_all(CASES[case])
    for manifest in manifests:
        if manifest["kind"] == "ServiceAccount":
            await api.create("serviceaccounts", place(api, manifest))
    for manifest in manifests:
        if template := manifest.get("spec", {}).get("template"):
            metadata = {**template["metadata"], "name": "pod", "namespace": api.namespace}
            pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
            answer = await apply_dry(api, "pods", pod)
            assert answer.status_code in (200, 201), answer.text


async def test_a_pod_that_may_more_is_not_admitted_there(api: Api) -> None:
    """The test above would see it."""
    await api.client.patch(
        f"/api/v1/namespaces/{api.namespace}",
        json=RESTRICTED,
        headers={"content-type": "application/merge-patch+json"},
    )
    container = {"name": "c", "image": "i:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": api.namespace},
        "spec": {"containers": [container]},
    }
    assert (await apply_dry(api, "pods", pod)).status_code == 403
