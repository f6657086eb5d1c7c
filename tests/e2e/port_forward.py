"""A way into the cluster for those outside: `kubectl port-forward`, opened anew when it broke."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import Final

from e2e.cluster import Cluster

_LINE: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> ")
_OPEN_S: Final = 30.0


class PortForward:
    """Forwards a free local port to `port` of `target` (`pod/…`, `svc/…`)."""

    def __init__(self, cluster: Cluster, namespace: str, target: str, port: int) -> None:
        self._command = (
            *("kubectl", "--kubeconfig", str(cluster.kubeconfig), "-n", namespace),
            *("port-forward", "--address", "127.0.0.1", target, f":{port}"),
        )
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> int:
        """Return the local port; what was broken is opened anew. Raises ConnectionError."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._begin()
            return self._port

    def close(self) -> None:
        """End it; `open` begins again."""
        with self._lock:
            self._end()

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        _OPEN.add(self)
        said: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(self._process, said), daemon=True)
        self._reader.start()
        ends = time.monotonic() + _OPEN_S
        while time.monotonic() < ends and self._process.poll() is None:
            found = next((match for line in list(said) if (match := _LINE.search(line))), None)
            if found:
                self._port = int(found.group(1))
                return
            time.sleep(0.05)
        self._end()
        raise ConnectionError(f"{' '.join(self._command)}: {''.join(said).strip()}")

    @staticmethod
    def _read(process: subprocess.Popen[str], said: list[str]) -> None:
        # To its end: a pipe that nobody reads would stop the forwarding one day.
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                said.append(line)
                del said[:-50]

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
        if process is not None:
            process.wait()
        if self._reader is not None:
            self._reader.join()
            self._reader = None
        _OPEN.discard(self)


_OPEN: Final[set[PortForward]] = set()


def close_all() -> None:
    """End every forward that is open; who is asked again begins again."""
    for forward in list(_OPEN):
        forward.close()
