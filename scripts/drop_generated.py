#!/usr/bin/env python3
"""Delete the Kubernetes client's generated classes, a hundred megabytes, before an image is made.

The operator speaks to the API in plain manifests, by the dynamic client: of the thousands of
generated modules it loads a handful, which stay. They are loaded on demand; one that is asked for
nevertheless fails by its name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import kopf  # noqa: F401 - loads what it needs, too
import kubernetes.aio.client
import kubernetes.aio.config
import kubernetes.aio.dynamic


def main() -> int:
    """Delete them and say how many."""
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    count = 0
    for client in (kubernetes.client, kubernetes.aio.client):
        folder = Path(str(client.__file__)).parent
        for file in (*folder.glob("models/*.py"), *folder.glob("api/*.py")):
            if file.name != "__init__.py" and str(file) not in loaded:
                file.unlink()
                count += 1
    sys.stdout.write(f"{count} generated modules are left out\n")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
