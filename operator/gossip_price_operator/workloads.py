"""Live objects, as the API shows them, read into what plan and status know. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.observed import JobState, Workload
from gossip_price_operator.resources.metadata import get_template_hash

#: What a container that waits says while all goes well.
_ON_THE_WAY: Final = frozenset({"ContainerCreating", "PodInitializing"})
_TROUBLE_CHARS_MAX: Final = 300
_JOB_LABEL: Final = "batch.kubernetes.io/job-name"


def get_labels(live: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an object's labels."""
    labels: Mapping[str, str] = live.get("metadata", {}).get("labels") or {}
    return labels


def get_number(live: Mapping[str, Any]) -> int | None:
    """Return the number of the node that an object belongs to; None where it bears none."""
    text = get_labels(live).get(names.NODE_LABEL, "")
    return int(text) if text.isdecimal() and len(text) < 6 else None


def read_workload(
    live: Manifest, pods: Iterable[Manifest] = (), *, is_drifted: bool = False
) -> Workload:
    """Read a Deployment or StatefulSet, and from its pods why none gets ready."""
    metadata, spec, status = live["metadata"], live["spec"], live.get("status") or {}
    containers = spec["template"]["spec"]["containers"]
    return Workload(
        template_hash=get_template_hash(live),
        image=containers[0].get("image", ""),
        replicas=spec.get("replicas", 1),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        is_current=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
        trouble=find_trouble(live, pods),
        is_drifted=is_drifted,
    )


def find_trouble(live: Manifest, pods: Iterable[Manifest]) -> str | None:
    """Return why no pod gets ready, in the API's own words."""
    for pod in pods:
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] not in _ON_THE_WAY:
                return _say(waiting)
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return _say(condition)
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return _say(condition)
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return _say(condition)
    return None


def _say(told: Mapping[str, Any]) -> str:
    reason, message = told.get("reason", "Unknown"), told.get("message", "")
    return (f"{reason}: {message}" if message else str(reason))[:_TROUBLE_CHARS_MAX]


def read_job(live: Manifest | None) -> JobState:
    """Read how far a Job is."""
    if live is None:
        return JobState.MISSING
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True":
            if condition.get("type") in ("Complete", "SuccessCriteriaMet"):
                return JobState.DONE
            if condition.get("type") in ("Failed", "FailureTarget"):
                return JobState.FAILED
    return JobState.RUNNING


def find_last_words(job: str, pods: Iterable[Manifest]) -> str | None:
    """Return what a container of the Job's pods said when it last failed, in one line."""
    for pod in pods:
        if get_labels(pod).get(_JOB_LABEL) != job:
            continue
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            for state in (container.get("state"), container.get("lastState")):
                ended = (state or {}).get("terminated") or {}
                if ended.get("exitCode") and ended.get("message"):
                    return " ".join(ended["message"].split())[-_TROUBLE_CHARS_MAX:]
    return None


def find_addresses(pods: Iterable[Manifest]) -> dict[int, str]:
    """Return the IP of each node's newest pod that has one and is not on its way out."""
    newest: dict[int, Manifest] = {}
    for pod in pods:
        number = get_number(pod)
        is_node = get_labels(pod).get(names.COMPONENT) == names.NODE
        metadata = pod["metadata"]
        if number is None or not is_node or metadata.get("deletionTimestamp"):
            continue
        if not (pod.get("status") or {}).get("podIP"):
            continue
        held = newest.get(number)
        born = str(metadata.get("creationTimestamp"))
        if held is None or born > str(held["metadata"].get("creationTimestamp")):
            newest[number] = pod
    return {number: str(pod["status"]["podIP"]) for number, pod in sorted(newest.items())}
