"""What the builders are given: frozen values that reconcile has gathered. Knows no API.

Keys are never here: a Secret is made once by `resources.keys` from keys that are handed to it,
and from then on only its name and what the public may know of it matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from gossip_price.network.document import Member
from gossip_price.network.planner import LEAD_S
from gossip_price.network.spec_parts import NetworkSpec, PriceNetwork

Manifest = dict[str, Any]

P2P_PORT: Final = 8000
HTTP_PORT: Final = 8080
POSTGRES_PORT: Final = 5432
#: Where each alert's page is, in this repository.
RUNBOOKS: Final = "docs/runbooks"


@dataclass(frozen=True)
class Identity:
    """Whose keys a Secret holds. `address` (EIP-55) is None for a bootstrap: it never signs."""

    secret_name: str
    peer_id: str
    address: str | None = None

    @property
    def member(self) -> Member:
        """The roster's entry of this identity; a bootstrap has none (ValueError)."""
        if self.address is None:
            raise ValueError(f"{self.secret_name} holds no signing key")
        return Member(self.address, self.peer_id)


@dataclass(frozen=True)
class Capabilities:
    """Which foreign kinds this cluster knows, and how its pods' addresses look (ip4 or ip6)."""

    pod_monitor: bool = False
    prometheus_rule: bool = False
    cloud_native_pg: bool = False
    ip_family: str = "ip4"


@dataclass(frozen=True)
class Defaults:
    """What the operator was told at its start, for fields that a spec leaves out."""

    node_image: str
    postgres_image: str = "postgres:17"
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    #: A new epoch starts so many seconds after it was made: time for all to read it.
    epoch_lead_s: int = LEAD_S
    #: What an alert's name and `.md` are added to.
    runbooks: str = RUNBOOKS


@dataclass(frozen=True)
class Database:
    """Where prices are stored: the Secret and key with the URL, and what the URL says in public.

    `fingerprint` changes with the URL (never holds it); `port` is the URL's.
    """

    secret_name: str
    key: str = "url"
    port: int = POSTGRES_PORT
    fingerprint: str = ""


@dataclass(frozen=True)
class Inputs:
    """All that is rendered comes from this. `nodes` and `bootstraps` by number and by ordinal."""

    network: PriceNetwork
    uid: str
    defaults: Defaults
    database: Database
    nodes: Mapping[int, Identity] = field(default_factory=lambda: MappingProxyType({}))
    bootstraps: Mapping[int, Identity] = field(default_factory=lambda: MappingProxyType({}))
    capabilities: Capabilities = Capabilities()

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.network.metadata.name

    @property
    def namespace(self) -> str:
        """The resource's namespace."""
        return self.network.metadata.namespace or "default"

    @property
    def spec(self) -> NetworkSpec:
        """What is wanted."""
        return self.network.spec

    @property
    def node_image(self) -> str:
        """The image of every node."""
        return self.spec.nodes.image or self.defaults.node_image
