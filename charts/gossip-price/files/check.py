"""What `helm test` runs: an operator holds the Lease and renews it, and networks can be listed.

With the operator's own account, by plain requests; exit code 1 with the reason.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEADLINE_S = 60.0


def get(path: str) -> Any:
    """Return what the API server answers."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    request = urllib.request.Request(
        f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}{path}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310 - https
        return json.load(answer)


def check() -> str:
    """Return who is at work. Raises OSError with the API server's refusal, or TimeoutError."""
    for namespace in os.environ["WATCHED"].split(","):
        within = f"/namespaces/{namespace}" if namespace else ""
        get(f"/apis/gossip-price.io/v1alpha1{within}/pricenetworks?limit=1")
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{os.environ['NAMESPACE']}/leases"
    seen: set[tuple[str, str]] = set()
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        spec = get(f"{leases}/{os.environ['LEASE']}")["spec"]
        seen.add((spec["holderIdentity"], spec["renewTime"]))
        if len(seen) > 1 and spec["holderIdentity"]:
            return str(spec["holderIdentity"])
        time.sleep(1)
    raise TimeoutError(f"nobody renewed the Lease {os.environ['LEASE']} in {DEADLINE_S:.0f} s")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{check()} is at work\n")
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
