"""The helm program, for tests of the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "charts" / "gossip-price"
KIND: Final = "gossip-price.io/v1alpha1/PriceNetwork"
MONITORING: Final = "monitoring.coreos.com/v1"
GOLDEN: Final = Path(__file__).parent / "golden" / "chart"
#: Values of each kind of installation, by what they are called.
CASES: Final = sorted(path.name.partition(".")[0] for path in GOLDEN.glob("*.values.yaml"))
REMEDY: Final = "these tests need helm 3.17 or later on PATH: https://helm.sh/docs/intro/install/"


def run_helm(*arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; what it says and its code are the caller's to judge."""
    program = shutil.which("helm")
    assert program, REMEDY
    # Nothing of the person's own repositories and clusters.
    own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": str(kubeconfig or "")}
    return subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, env=own, timeout=120
    )


def helm(*arguments: str, kubeconfig: Path | None = None) -> str:
    """Run helm; return what it prints. Fails with what it says."""
    done = run_helm(*arguments, kubeconfig=kubeconfig)
    assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def render(*arguments: str, release: str = "prices", namespace: str = "oracle") -> str:
    """Return the chart's manifests in a cluster that knows the PriceNetwork."""
    where = ("--namespace", namespace, "--kube-version", "1.34.0", "--api-versions", KIND)
    return helm("template", release, str(CHART), *where, *arguments)


def render_case(case: str, *arguments: str, namespace: str = "oracle") -> str:
    """Return a case's manifests without the kind: that is long, and compared elsewhere."""
    values = ("--values", str(GOLDEN / f"{case}.values.yaml"), "--set", "crds.install=false")
    return render(*values, *arguments, namespace=namespace)


def render_golden(case: str) -> str:
    """Return a case's manifests; everything is made in a cluster that has everything."""
    kinds = ("PodMonitor", "PrometheusRule") if case == "everything" else ()
    known = [word for kind in kinds for word in ("--api-versions", f"{MONITORING}/{kind}")]
    return render_case(case, *known)


def read(text: str) -> list[dict[str, Any]]:
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]
