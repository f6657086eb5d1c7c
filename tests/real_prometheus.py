"""A real Prometheus that scrapes a running network, with the shipped rules: what it makes of them.

For suites that have a network at hand, and by hand:

    gossip-price up --feed simulated --interval 10s &
    python tests/real_prometheus.py 8080 8081 8082 8083 8084
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).parents[1]
JOB = "network"
#: Enough scrapes for a rate over the shortest window.
SCRAPE_S = 2
#: For those who have no Prometheus operator.
SHIPPED_RULES = tuple(sorted((ROOT / "deploy").glob("rules-*.yaml")))

Labels = Mapping[str, str]


class Prometheus:
    """A server, asked by its HTTP API through a client of its address."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expr: str) -> list[Any]:
        """Return the series that an expression gives now. Raises for one that is refused."""
        return list(self._get("query", query=expr)["result"])

    def list_rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health, and what it has found."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def list_targets(self) -> list[dict[str, Any]]:
        """Return every target that is scraped, with its health."""
        return list(self._get("targets")["activeTargets"])

    def is_up(self) -> bool:
        """Tell whether it answers."""
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _get(self, path: str, **params: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=params).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]


@contextmanager
def run_prometheus(
    targets: Mapping[str, Labels], port: int, rules: Sequence[Path] = SHIPPED_RULES
) -> Iterator[Prometheus]:
    """Run a Prometheus on `port` that scrapes these host:port, each with labels of its own."""
    path = os.pathsep.join((str(ROOT / ".venv" / "prometheus"), os.environ.get("PATH", "")))
    program = shutil.which("prometheus", path=path)
    assert program, "prometheus is missing; scripts/check-test-tools brings it"
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
            "rule_files": [str(file) for file in rules],
            "scrape_configs": [
                {
                    "job_name": JOB,
                    "static_configs": [
                        {"targets": [target], "labels": dict(labels)}
                        for target, labels in targets.items()
                    ],
                }
            ],
        }
        file = Path(folder) / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        url = f"http://127.0.0.1:{port}"
        try:
            with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
                server = Prometheus(client)
                deadline = time.monotonic() + 60
                while not server.is_up():
                    assert process.poll() is None, "it ended"
                    assert time.monotonic() < deadline, "it does not answer"
                    time.sleep(0.2)
                yield server
        finally:
            process.terminate()
            process.wait(30)


def fill_variables(query: str, job: str = JOB) -> str:
    """Return a query of the dashboard as Grafana sends it."""
    return re.sub(r"\$\w+(?=\])", "1m", query.replace("$job", job))


if __name__ == "__main__":
    from gossip_price.dashboard import list_queries

    nodes: dict[str, Labels] = {f"127.0.0.1:{port}": {} for port in sys.argv[1:]}
    with run_prometheus(nodes, 19090) as prometheus:
        time.sleep(60)
        for target in prometheus.list_targets():
            print(f"{target['health']:8} {target['scrapeUrl']} {target['lastError']}")
        for rule in prometheus.list_rules():
            found = [alert["state"] for alert in rule["alerts"]]
            print(f"{rule['health']:8} {rule['name']} {found}")
        for question, query in list_queries():
            series = prometheus.query(fill_variables(query))
            print(f"{len(series):8} {question}")
