"""What the operator renders is read by the node's own parser, from files as pods have them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gossip_price.adapters.keyfiles import read_key
from gossip_price.crypto import get_address
from gossip_price.network.document import NetworkFile
from gossip_price.network.epochs import EpochChain, Role, find_role
from gossip_price.network.keys import compute_peer_id
from gossip_price.settings import Settings, load_settings
from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from rendered import CASES, render_all

POD_IP = {"ip4": "10.1.2.3", "ip6": "fd00::3"}
URL = "postgresql://u:p@db.example:6432/prices"


class Pod:
    """A pod's one container as kubelet would start it: files mounted, variables filled in."""

    def __init__(self, case: str, manifests: list[Manifest], workload: Manifest, root: Path):
        self.manifests = manifests
        self.root = root
        self.spec = workload["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        name = workload["metadata"]["name"]
        self.variables = {"POD_IP": POD_IP[CASES[case].capabilities.ip_family]}
        self.variables["POD_NAME"] = f"{name}-0"
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        for mount in self.container["volumeMounts"]:
            folder = root / mount["mountPath"].lstrip("/")
            folder.mkdir(parents=True)
            self._fill(folder, volumes[mount["name"]])

    def _fill(self, folder: Path, volume: Manifest) -> None:
        if "configMap" in volume:
            for key, text in self._find("ConfigMap", volume["configMap"]["name"])["data"].items():
                (folder / key).write_text(text)
        for source in volume.get("projected", {}).get("sources", []):
            self._write_secret(folder, source["secret"], source["secret"]["name"])
        if "secret" in volume:
            self._write_secret(folder, volume["secret"], volume["secret"]["secretName"])

    def _write_secret(self, folder: Path, source: Manifest, name: str) -> None:
        try:
            data = self._find("Secret", name)["data"]
        except StopIteration:
            # The user's own: a database's URL, or keys by reference.
            if not source.get("optional"):
                raise
            if "projected" in str(source) or "identity" in str(source):
                return
            data = {source["items"][0]["key"]: base64.b64encode(URL.encode()).decode()}
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            path = folder / item["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(data[item["key"]]))
            path.chmod(0o400)

    def _find(self, kind: str, name: str) -> Manifest:
        return next(
            manifest
            for manifest in self.manifests
            if manifest["kind"] == kind
            and manifest["metadata"]["name"] == name
            and "data" in manifest
        )

    def load(self) -> Settings:
        """Read the container's environment as `gossip-price node` does."""
        environ: dict[str, str] = {}
        for variable in self.container["env"]:
            if "value" in variable:
                environ[variable["name"]] = self._expand(variable["value"])
        for name, value in environ.items():
            if name.endswith("_FILE"):
                environ[name] = str(self.root / value.lstrip("/"))
        return load_settings(environ)

    def _expand(self, value: str) -> str:
        def fill(match: re.Match[str]) -> str:
            whole, name = match.group(0), match.group(1)
            return "$" if whole == "$$" else self.variables.get(name, whole)

        return re.sub(r"\$\$|\$\((\w+)\)", fill, value)


def find(manifests: list[Manifest], kind: str, component: str) -> list[Manifest]:
    return [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["labels"][names.COMPONENT] == component
    ]


def make_own_keys(case: str, manifests: list[Manifest]) -> list[Manifest]:
    """Name the users' Secrets as their spec does."""
    own = {
        names.node(CASES[case].name, secret.node): secret.secret_name
        for secret in CASES[case].spec.keys.existing
    }
    copies: list[Any] = []
    for manifest in manifests:
        name = own.get(manifest["metadata"]["name"])
        if manifest["kind"] == "Secret" and name is not None and "data" in manifest:
            copies.append({**manifest, "metadata": {**manifest["metadata"], "name": name}})
    return copies


@pytest.mark.parametrize("case", CASES)
def test_every_rendered_node_is_one_that_starts_and_is_a_member(case: str, tmp_path: Path) -> None:
    inputs = CASES[case]
    manifests = render_all(inputs)
    manifests += make_own_keys(case, manifests)
    deployments = find(manifests, "Deployment", names.NODE)
    assert len(deployments) == inputs.spec.nodes.count
    for number, deployment in enumerate(deployments):
        settings = Pod(case, manifests, deployment, tmp_path / str(number)).load()
        assert not settings.bootstrap
        assert settings.sources == inputs.spec.price.sources
        assert settings.min_sources == inputs.spec.price.min_sources
        assert settings.access is inputs.spec.access.mode
        family = inputs.capabilities.ip_family
        assert settings.connection_addr == f"/{family}/{POD_IP[family]}/tcp/8000"
        assert settings.http_addr.port == 8080
        url = urlsplit(settings.read_database_url() or "")
        if inputs.spec.postgres.managed is not None:
            assert url.hostname == f"{names.postgres(inputs.name)}.prices.svc"
            assert (url.port, url.password) == (inputs.database.port, "p%2Fw")
        else:
            assert url.geturl() == URL
        assert settings.minimum_signer_count is None
        assert settings.signing_key_file is not None
        network = NetworkFile.parse(settings.network_file.read_bytes())
        address = get_address(read_key(settings.signing_key_file))
        peer_id = compute_peer_id(read_key(settings.identity_key_file))
        document = EpochChain(network.epochs).newest
        assert find_role(document, address, peer_id) is Role.MEMBER


@pytest.mark.parametrize("case", CASES)
def test_the_rendered_bootstrap_is_the_one_that_nodes_are_told_of(
    case: str, tmp_path: Path
) -> None:
    manifests = render_all(CASES[case])
    (workload,) = find(manifests, "StatefulSet", names.BOOTSTRAP)
    settings = Pod(case, manifests, workload, tmp_path).load()
    assert settings.bootstrap
    network = NetworkFile.parse(settings.network_file.read_bytes())
    peer_id = compute_peer_id(read_key(settings.identity_key_file))
    first = network.peers.bootstrap[0]
    assert first.endswith(f".prices.svc/tcp/8000/p2p/{peer_id}")
    assert len(first.split("/")[2].split(".")[0]) <= 63
