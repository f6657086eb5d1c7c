"""The parts of a PriceNetwork's spec: every field with its type, bounds, default and description.

The one source of the fields: the reader (`spec`), the documentation and the CRD are made from
it. Each field is judged alone here; what several fields say together is judged in `spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gossip_price.network.document import MEMBERS_MAX, PAIRS_MAX, Mode
from gossip_price.network.multiaddrs import check_full
from gossip_price.network.problems import make_hidden_error
from gossip_price.network.source_mapping import SOURCES_MAX, SourceValue
from gossip_price.network.sources import PRESETS
from gossip_price.network.spec_values import (
    Deviation,
    Interval,
    Listed,
    Name,
    Pair,
    Part,
    PeerId,
    Text,
)


class Access(Enum):
    """Who may connect: members and listed listeners only, or anyone to listen."""

    PRIVATE = "Private"
    OPEN = "Open"


class DeletionPolicy(Enum):
    """What becomes of identities and data when the resource is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class PricePart(Part):
    """What is observed, how often, and how far members may differ."""

    interval: Interval = Field(default=600, description="length of a round")
    sources: Annotated[
        tuple[SourceValue, ...], Listed, Field(min_length=1, max_length=SOURCES_MAX)
    ] = Field(
        default=(PRESETS["coinbase"],),
        description=f"where prices are asked for: the name of a preset ({', '.join(PRESETS)}), or"
        " name, url and path of one's own",
    )
    min_sources: Annotated[StrictInt, Field(ge=1, le=SOURCES_MAX)] = Field(
        default=1, description="fewer good answers mean no observation"
    )
    max_deviation: Deviation = Field(
        default=100,
        description="a member signs within this distance of its own observation: percent as text"
        " (`1%`) or basis points",
    )


class ConsensusPart(Part):
    """When a price counts as agreed."""

    minimum_signers: Annotated[StrictInt, Field(ge=1, le=MEMBERS_MAX)] | None = Field(
        default=None,
        description="distinct members that must sign; left out, the smallest safe number for the"
        " members there are, and never under 3",
    )
    settle: Interval = Field(
        default=30, description="a proven price is stored this long after its last new signer"
    )
    mode: Mode = Field(
        default=Mode.ROUNDS,
        description="`Rounds`: one price a round; `EveryNode`: each member proposes its own",
    )


class Storage(Part):
    """A persistent volume."""

    size: Text = Field(default="1Gi", description="a Kubernetes quantity")
    storage_class_name: Text | None = Field(default=None, description="default: the cluster's own")


class PodPart(Part):
    """What a kind of pod may be given."""

    image: Text | None = Field(default=None, description="default: the operator's own version")
    resources: dict[str, Any] = Field(
        default_factory=dict, description="requests and limits, as in a container"
    )
    affinity: dict[str, Any] = Field(default_factory=dict, description="as in a pod")
    topology_spread_constraints: Annotated[
        tuple[dict[str, Any], ...], Listed, Field(max_length=16)
    ] = Field(default=(), description="as in a pod; left out, spread over the cluster's nodes")
    pod_template: dict[str, Any] = Field(
        default_factory=dict, description="metadata and spec that are merged into the pod's"
    )


class NodesPart(PodPart):
    """The members' nodes."""

    count: Annotated[StrictInt, Field(ge=1, le=MEMBERS_MAX)] = Field(
        default=4, description="members that we run"
    )
    storage: Storage = Field(default=Storage(), description="each node's journal")


class BootstrapPart(PodPart):
    """The nodes that introduce newcomers and never sign."""

    replicas: Annotated[StrictInt, Field(ge=1, le=9)] = Field(
        default=1, description="bootstrap nodes"
    )


class Managed(Part):
    """A Postgres that the operator runs."""

    storage: Storage = Field(default=Storage(size="10Gi"), description="the database's volume")
    image: Text | None = Field(default=None, description="default: the operator's own version")


class External(Part):
    """A Postgres that somebody else runs."""

    secret_name: Name = Field(description="the Secret that holds its URL")
    key: Text = Field(default="url", description="the key in that Secret")


class CloudNativePG(Part):
    """A Cluster of CloudNativePG."""

    cluster_name: Name = Field(description="the Cluster, in the same namespace")


class PostgresPart(Part):
    """Where prices are stored: exactly one of the three; left out, `managed`."""

    managed: Managed | None = Field(default=None, description="run by the operator")
    external: External | None = Field(default=None, description="run by somebody else")
    cloud_native_pg: CloudNativePG | None = Field(
        default=None, alias="cloudNativePG", description="run by CloudNativePG"
    )

    @model_validator(mode="before")
    @classmethod
    def _check_choice(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        known = ("managed", "external", "cloudNativePG")
        given = [name for name in known if value.get(name) is not None]
        if len(given) > 1 or (value and not given and set(value) <= set(known)):
            said = f"{' and '.join(given) or 'an empty choice'} given"
            raise make_hidden_error(f"exactly one of {', '.join(known)}; {said}")
        return value if value else {"managed": {}}


class PeersPart(Part):
    """Who is there besides the members that we run."""

    bootstrap: Annotated[
        tuple[Annotated[StrictStr, AfterValidator(check_full), Field(max_length=330)], ...],
        Listed,
        Field(max_length=64),
    ] = Field(default=(), description="others' bootstrap addresses, with /p2p/<peer id>")
    admitted: Annotated[tuple[PeerId, ...], Listed, Field(max_length=MEMBERS_MAX)] = Field(
        default=(), description="peer ids of members-to-be"
    )
    listeners: Annotated[tuple[PeerId, ...], Listed, Field(max_length=1024)] = Field(
        default=(), description="peer ids that may listen and never count"
    )


class AccessPart(Part):
    """Who gets in."""

    mode: Access = Field(
        default=Access.PRIVATE,
        description="`Private`: only listed peer ids; `Open`: anyone may listen",
    )
    peers: PeersPart = Field(default=PeersPart(), description="peers beside our own nodes")
    extra_egress: Annotated[tuple[dict[str, Any], ...], Listed, Field(max_length=32)] = Field(
        default=(),
        description="egress rules of a NetworkPolicy, for what nodes must reach beside peers,"
        " Postgres, DNS and the ports of their price sources",
    )


class KeySecret(Part):
    """A Secret of the user's own for one node."""

    node: Annotated[StrictInt, Field(ge=0, lt=MEMBERS_MAX)] = Field(description="the node's number")
    secret_name: Name = Field(description="a Secret with signing.key and identity.key")


class KeysPart(Part):
    """Identities that are not to be generated."""

    existing: Annotated[tuple[KeySecret, ...], Listed, Field(max_length=MEMBERS_MAX)] = Field(
        default=(), description="Secrets by node"
    )


class MonitoringPart(Part):
    """Objects of the Prometheus operator; made only where their kinds exist."""

    pod_monitor: StrictBool = Field(default=False, description="scrape every node")
    rules: StrictBool = Field(default=False, description="alerts")
    labels: dict[StrictStr, StrictStr] = Field(
        default_factory=dict, description="labels that a Prometheus selects by"
    )


class DocumentRef(Part):
    """A network document of several organisations, in a ConfigMap."""

    name: Name = Field(description="the ConfigMap, in the same namespace")
    key: Text = Field(default="network.json", description="the key in that ConfigMap")


class NetworkSpec(Part):
    """What somebody wants a network to be."""

    pairs: Annotated[tuple[Pair, ...], Listed, Field(min_length=1, max_length=PAIRS_MAX)] = Field(
        default=(Pair(name="ETH-USD"),),
        description="whose prices are agreed on",
    )
    document_ref: DocumentRef | None = Field(
        default=None, description="a supplied document: then no epochs are made here"
    )
    price: PricePart = Field(
        default=PricePart(),
        description="what is observed, how often, and how far members may differ",
    )
    consensus: ConsensusPart = Field(
        default=ConsensusPart(), description="when a price counts as agreed"
    )
    nodes: NodesPart = Field(default=NodesPart(), description="the members that we run")
    bootstrap: BootstrapPart = Field(
        default=BootstrapPart(), description="the nodes that introduce newcomers and never sign"
    )
    postgres: PostgresPart = Field(
        default=PostgresPart(managed=Managed()),
        description="where prices are stored: exactly one of the three; left out, `managed`",
    )
    access: AccessPart = Field(
        default=AccessPart(), description="who gets in, and what may be reached"
    )
    keys: KeysPart = Field(
        default=KeysPart(), description="identities that are not to be generated"
    )
    monitoring: MonitoringPart = Field(
        default=MonitoringPart(),
        description="objects of the Prometheus operator; made only where their kinds exist",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="`Retain` leaves identities, the database's password and volume",
    )
    paused: StrictBool = Field(default=False, description="the operator touches nothing")


class Metadata(BaseModel):
    """Name and namespace; Kubernetes' own further fields are not ours to judge."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    namespace: Name | None = None


class PriceNetwork(BaseModel):
    """The whole resource; `status` is the operator's and ignored here."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False
    )

    api_version: Literal["gossip-price.io/v1alpha1"]
    kind: Literal["PriceNetwork"]
    metadata: Metadata
    spec: NetworkSpec
    status: object = Field(default=None, exclude=True, repr=False)
