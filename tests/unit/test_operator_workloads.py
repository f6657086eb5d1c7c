from __future__ import annotations

from typing import Any

import pytest

from gossip_price_operator.workloads import find_last_words

FAILED = {"terminated": {"exitCode": 2, "message": "gossip-price migrate:\n password refused\n"}}


def make_pod(job: str = "migrate-1", **state: Any) -> dict[str, Any]:
    labels = {"batch.kubernetes.io/job-name": job}
    return {"metadata": {"labels": labels}, "status": {"containerStatuses": [state]}}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (make_pod(lastState=FAILED), "gossip-price migrate: password refused"),
        (make_pod(state=FAILED, lastState={}), "gossip-price migrate: password refused"),
        (make_pod(job="migrate-0", lastState=FAILED), None),
        (make_pod(state={"terminated": {"exitCode": 0, "message": "made the schema"}}), None),
        (make_pod(state={"running": {}}), None),
        ({"metadata": {}}, None),
    ],
)
def test_a_failed_migration_is_told_in_its_own_words(
    pod: dict[str, Any], words: str | None
) -> None:
    assert find_last_words("migrate-1", [pod]) == words
