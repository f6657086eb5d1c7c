"""Row 11: everything runs where Pod Security `restricted` is enforced."""

from __future__ import annotations

from e2e.network import Network

PRIVILEGED = """
apiVersion: v1
kind: Pod
metadata: {name: privileged}
spec:
  containers:
    - {name: c, image: "none:1", securityContext: {privileged: true}}
"""


def test_all_pods_are_admitted_where_restricted_is_enforced(standing: Network) -> None:
    assert {
        pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in standing.list_pods()
    } >= {
        "node",
        "bootstrap",
        "postgres",
    }
    # It would have been said of a pod that was not: ReplicaSets, StatefulSets and Jobs tell events.
    told = standing.kubectl("get", "events", "-o", "name", "--field-selector=reason=FailedCreate")
    assert told == ""
    dry_run = ("apply", "--dry-run=server", "-f", "-")
    refused = None
    try:
        standing.kubectl(*dry_run, stdin=PRIVILEGED)
    except AssertionError as error:
        refused = str(error)
    assert refused is not None
    assert 'violates PodSecurity "restricted' in refused
