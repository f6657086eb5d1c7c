"""A kind cluster of one control plane and two workers, for one session or kept with KEEP=1.

KIND_NODE_IMAGE names the image of its machines; empty is kind's own default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from e2e.api import Api
from e2e.programs import attempt, find_missing, run
from e2e.suite_name import NAME, reserve

#: Kubelets bring a changed ConfigMap or Secret into running pods at their next look at the pod,
#: once a minute by default. Epochs of a suite that is to end today cannot wait for that.
_CONFIG: Final = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
  - role: worker
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    syncFrequency: 5s
"""
#: Images on their way to the machines are files for a moment.
_LOAD_DEADLINE_S: Final = 300.0


class Cluster:
    """A running cluster: its API, and kubectl and helm that speak to it."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    @cached_property
    def api(self) -> Api:
        return Api(self.kubeconfig)

    def kubectl(self, *arguments: str, stdin: str | None = None, deadline_s: float = 300) -> str:
        """Run kubectl and return what it printed."""
        command = ("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments)
        return run(*command, stdin=stdin, deadline_s=deadline_s)

    def try_kubectl(self, *arguments: str, deadline_s: float = 300) -> tuple[int, str]:
        """Run kubectl that may be refused; return its exit code and all that it printed."""
        command = ("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments)
        done = attempt(*command, deadline_s=deadline_s)
        return done.returncode, done.stdout + done.stderr

    def helm(self, *arguments: str, deadline_s: float = 300) -> str:
        """Run helm and return what it printed."""
        return run("helm", "--kubeconfig", str(self.kubeconfig), *arguments, deadline_s=deadline_s)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """`kubectl apply` these manifests."""
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def load(self, images: Sequence[str]) -> None:
        """Bring images of the local engine to every machine."""
        run("kind", "load", "docker-image", "--name", NAME, *images, deadline_s=_LOAD_DEADLINE_S)

    @staticmethod
    def run_on(machine: str, *command: str) -> str:
        """Run a command on a machine of the cluster, as its administrator would."""
        return run("docker", "exec", machine, *command)


@contextmanager
def open_cluster(folder: Path) -> Iterator[Cluster]:
    """Yield a cluster that is deleted at the end, come what may, unless KEEP=1."""
    missing = find_missing()
    assert not missing, "make e2e lacks\n  " + "\n  ".join(missing)
    is_kept = os.environ.get("KEEP") == "1"
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder / "kubeconfig")
    with reserve("cluster"):
        is_there = NAME in run("kind", "get", "clusters").split()
        if is_there and not is_kept:
            _delete()
        try:
            if is_there and is_kept:
                run("kind", "export", "kubeconfig", "--name", NAME, *_kubeconfig_of(cluster))
            else:
                _create(cluster)
            yield cluster
        finally:
            if not is_kept:
                _delete()


def _create(cluster: Cluster) -> None:
    config = cluster.kubeconfig.with_name("kind.yaml")
    config.write_text(_CONFIG)
    image = os.environ.get("KIND_NODE_IMAGE")
    run(
        *("kind", "create", "cluster", "--name", NAME, "--config", str(config), "--wait", "5m"),
        *(("--image", image) if image else ()),
        *_kubeconfig_of(cluster),
    )


def _kubeconfig_of(cluster: Cluster) -> tuple[str, str]:
    return "--kubeconfig", str(cluster.kubeconfig)


def _delete() -> None:
    run("kind", "delete", "cluster", "--name", NAME)
