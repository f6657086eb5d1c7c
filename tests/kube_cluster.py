"""A real etcd, kube-apiserver and garbage collector on loopback, for one session of tests.

Started from $KUBEBUILDER_ASSETS, the folder that envtest's setup makes. No kubelet: pods do not
run (see kube_kubelet). Every request stands in an audit log, by user.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kube_rights import make_roles

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
REMEDY: Final = (
    "tests/kube need a real API server: set KUBEBUILDER_ASSETS to a folder with etcd,"
    " kube-apiserver, kube-controller-manager and kubectl, e.g."
    " `export KUBEBUILDER_ASSETS=$(setup-envtest use -p path 1.34)`, and put"
    " kube-controller-manager of the same version there (https://dl.k8s.io)"
)
#: Who does what, in the audit log. These may do everything,
USERS: Final = ("admin", "kubelet", "person")
#: and these what the chart gives them, where they are told to work (see kube_rights).
OPERATORS: Final = ("operator", "second")
#: and this one nothing.
STRANGER: Final = "stranger"
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_POLICY: Final = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True)
class Cluster:
    """A running API server: where it is, and how to ask it."""

    url: str
    folder: Path
    assets: Path

    def make_client(self, user: str = "person") -> httpx.AsyncClient:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {user}-token"},
            verify=context,
            trust_env=False,
            timeout=30,
        )

    def write_kubeconfig(self, user: str, url: str | None = None) -> Path:
        path = self.folder / f"kubeconfig-{user}-{abs(hash(url))}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": url or self.url, "insecure-skip-tls-verify": True},
                }
            ],
            "users": [{"name": user, "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": user}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path

    async def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as a person does; raises AssertionError with what it says on failure."""
        process = await asyncio.create_subprocess_exec(
            str(self.assets / "kubectl"),
            f"--kubeconfig={self.write_kubeconfig('person')}",
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate(None if text is None else text.encode())
        assert process.returncode == 0, f"kubectl {' '.join(arguments)}: {out.decode()}"
        return out.decode()

    def read_audit(self, user: str, namespace: str) -> list[dict[str, Any]]:
        """Return what a user wrote in a namespace, oldest first."""
        return [
            entry
            for entry in self.read_requests(user)
            if entry["verb"] in WRITES
            and (entry.get("objectRef") or {}).get("namespace") == namespace
        ]

    def read_requests(self, *users: str) -> list[dict[str, Any]]:
        """Return all that users asked for and had an answer to, oldest first."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if entry["user"]["username"] in users]


def say_write(entry: Mapping[str, Any]) -> str:
    told = entry["objectRef"]
    part = f"/{told['subresource']}" if told.get("subresource") else ""
    return f"{entry['verb']} {told['resource']}{part} {told.get('name', '')}"


@contextmanager
def run_cluster(folder: Path) -> Iterator[Cluster]:
    assets = find_assets()
    _write_keys(folder)
    etcd_port, peer_port, api_port, manager_port = (_find_port() for _ in range(4))
    with ExitStack() as stack:
        stack.enter_context(
            _run(
                folder / "etcd.log",
                str(assets / "etcd"),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
                f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
                "--unsafe-no-fsync",
            )
        )
        stack.enter_context(
            _run(
                folder / "apiserver.log",
                str(assets / "kube-apiserver"),
                f"--etcd-servers=http://127.0.0.1:{etcd_port}",
                f"--cert-dir={folder / 'certs'}",
                f"--secure-port={api_port}",
                "--bind-address=127.0.0.1",
                "--service-cluster-ip-range=10.0.0.0/16",
                "--service-account-issuer=https://tests.invalid",
                f"--service-account-key-file={folder / 'sa.key'}",
                f"--service-account-signing-key-file={folder / 'sa.key'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                f"--audit-policy-file={folder / 'audit-policy.yaml'}",
                f"--audit-log-path={folder / 'audit.log'}",
                "--audit-log-mode=blocking",
                "--audit-log-maxsize=100000",  # MB: never begun anew while it is read
                "--enable-priority-and-fairness=false",
            )
        )
        cluster = Cluster(f"https://127.0.0.1:{api_port}", folder, assets)
        asyncio.run(_prepare(cluster))
        stack.enter_context(
            _run(
                folder / "manager.log",
                str(assets / "kube-controller-manager"),
                f"--kubeconfig={cluster.write_kubeconfig('admin')}",
                "--controllers=garbage-collector-controller,namespace-controller",
                "--leader-elect=false",
                f"--secure-port={manager_port}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={folder / 'manager-certs'}",
            )
        )
        yield cluster


def find_assets() -> Path:
    given = os.environ.get("KUBEBUILDER_ASSETS")
    assert given, REMEDY
    assets = Path(given)
    missing = [name for name in PROGRAMS if not (assets / name).exists()]
    assert not missing, f"{assets} lacks {', '.join(missing)}; {REMEDY}"
    return assets


@contextmanager
def _run(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _prepare(cluster: Cluster) -> None:
    async with cluster.make_client("admin") as client:
        async with asyncio.timeout(60):
            while not await _is_ready(client):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        crd = yaml.safe_load(find_crd().read_text())
        answer = await client.post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd
        )
        assert answer.status_code == 201, answer.text
        async with asyncio.timeout(30):
            while True:
                answer = await client.get("/apis/gossip-price.io/v1alpha1/pricenetworks")
                if answer.status_code == 200:
                    break
                await asyncio.sleep(0.1)
        await make_roles(client)


def find_crd() -> Path:
    return Path(__file__).parents[1] / "crds" / "pricenetworks.gossip-price.io.yaml"


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_keys(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    lines = [f'{user}-token,{user},{user},"system:masters"' for user in USERS]
    lines += [f"{user}-token,{user},{user}" for user in (*OPERATORS, STRANGER)]
    (folder / "tokens.csv").write_text("\n".join(lines) + "\n")
    (folder / "audit-policy.yaml").write_text(_POLICY)
