"""When an object is applied again: it is missing, wanted otherwise, or edited; never in a loop."""

from __future__ import annotations

from typing import Any

import pytest

from gossip_price_operator.applied import add_applied_hash, compute_shape, is_ours, must_apply

WANTED = add_applied_hash(
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "eth-nodes", "annotations": {"a": "1"}},
        "spec": {"ports": [{"port": 8080}], "type": "ClusterIP"},
    }
)


def make_live(**spec: Any) -> dict[str, Any]:
    """The object as the server shows it: ours, with others' fields beside."""
    return {
        **WANTED,
        "metadata": {**WANTED["metadata"], "labels": {"cloud/zone": "a"}, "uid": "u"},
        "spec": {**WANTED["spec"], "clusterIP": "10.0.0.1", **spec},
    }


def test_what_is_as_we_applied_it_is_left_alone_whatever_others_add() -> None:
    assert not must_apply(WANTED, make_live(), None)
    assert not must_apply(WANTED, make_live(sessionAffinity="ClientIP"), None)


def test_what_is_missing_or_was_made_of_another_manifest_is_applied() -> None:
    assert must_apply(WANTED, None, None)
    newer = add_applied_hash({**WANTED, "spec": {**WANTED["spec"], "type": "NodePort"}})
    assert must_apply(newer, make_live(), None)


def test_what_somebody_changed_is_applied() -> None:
    assert must_apply(WANTED, make_live(type="NodePort"), None)
    assert must_apply(WANTED, make_live(ports=[]), None)


def test_who_insists_on_a_spelling_of_our_fields_gets_no_hot_loop() -> None:
    # A webhook that answers every apply of ours with its own word, and adds a port.
    insisted = make_live(type="LoadBalancer", ports=[{"port": 8080}, {"port": 9}])
    shape = compute_shape(WANTED, insisted)  # as the server answered our apply
    assert not must_apply(WANTED, insisted, shape)
    # What changes after that is somebody's edit again.
    assert must_apply(WANTED, make_live(type="ExternalName", ports=[{"port": 8080}]), shape)
    # And a restarted operator, which does not know the shape, tries once.
    assert must_apply(WANTED, insisted, None)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"managedFields": [{"manager": "gossip-price-operator"}]}, True),
        ({"managedFields": [{"manager": "kubectl-create"}]}, False),
        # Put back from a backup, or made by hand for us.
        ({"labels": {"app.kubernetes.io/managed-by": "gossip-price-operator"}}, True),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, False),
        ({}, False),
    ],
)
def test_ours_is_what_we_wrote_or_what_is_labelled_so(
    metadata: dict[str, Any], expected: bool
) -> None:
    assert is_ours({"metadata": metadata}) is expected
