"""What `up` runs: from a network to its processes. What is said of them is in `banner`.

Only decisions about values; `up` does what is decided here. Starts nothing, opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gossip_price.adapters.datafolder import BOOTSTRAP, LocalNetwork
from gossip_price.adapters.feed import DEFAULT_STARTS
from gossip_price.adapters.supervisor import Child
from gossip_price.adapters.tcp_ports import HOST
from gossip_price.network.source_mapping import format_sources
from gossip_price.network.sources import Source

#: Nodes are asked to leave first: 3 s; then bootstrap and feed: 0.8 s; Postgres has the rest of 5.
NODE_GRACE_S: Final = 3.0
HELPER_GRACE_S: Final = 0.8
#: Where the simulated walk of a currency begins that the feed has never heard of.
UNKNOWN_START: Final = 100


@dataclass(frozen=True)
class Layout:
    """Where everything listens on this machine. `p2p_ports` and HTTP: bootstrap first."""

    http_port: int
    p2p_ports: tuple[int, ...]
    feed_port: int

    def get_http(self, number: int) -> str:
        """Return host:port of node `number`'s HTTP; 0 is the bootstrap node."""
        return f"{HOST}:{self.http_port + number}"

    def get_listen(self, number: int) -> str:
        """Return the multiaddress that node `number` listens on."""
        return f"/ip4/{HOST}/tcp/{self.p2p_ports[number]}"


def make_feed_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    layout: Layout,
    network: LocalNetwork,
) -> Child:
    """Return the simulated feed's process. Its port stays the same over a restart."""
    starts: list[str] = []
    for terms in network.file.epochs[-1].pairs:
        if not set(terms.pair.split("-")) <= {*DEFAULT_STARTS, "USD"}:
            starts += ["--start", f"{terms.pair}={UNKNOWN_START}"]
    return Child(
        name="feed",
        command=(*command, "feed", "--port", str(layout.feed_port), *starts),
        environment=environment,
        stage=1,
        grace_s=HELPER_GRACE_S,
    )


def make_node_children(
    command: Sequence[str],
    environment: Mapping[str, str],
    network: LocalNetwork,
    layout: Layout,
    *,
    network_path: Path,
    database: str,
    sources: Sequence[Source],
    min_sources: int,
    access: str,
) -> list[Child]:
    """Return the bootstrap node's process and those of the nodes, in order of their numbers."""
    bootstrap_address = f"{layout.get_listen(0)}/p2p/{network.bootstrap_peer_id}"
    common = {
        **environment,
        "GP_NETWORK_FILE": str(network_path),
        "GP_ACCESS": access,
        "GP_LOGFORMAT": "json",
    }
    children = [
        Child(
            name=BOOTSTRAP,
            command=(*command, "node"),
            environment={
                **common,
                "GP_BOOTSTRAP": "true",
                "GP_CONNECTIONADDR": layout.get_listen(0),
                "GP_HTTPADDR": layout.get_http(0),
                "GP_IDENTITYKEY_FILE": str(network.bootstrap_key),
            },
            stage=1,
            grace_s=HELPER_GRACE_S,
        )
    ]
    for number, node in enumerate(network.nodes, 1):
        own = {
            "GP_BOOTSTRAP": "false",
            "GP_BOOTSTRAPADDR": bootstrap_address,
            "GP_CONNECTIONADDR": layout.get_listen(number),
            "GP_DATABASEURL": database,
            "GP_HTTPADDR": layout.get_http(number),
            "GP_IDENTITYKEY_FILE": str(node.identity_key),
            "GP_JOURNAL_FILE": str(node.journal),
            "GP_MINSOURCES": str(min_sources),
            "GP_SIGNINGKEY_FILE": str(node.signing_key),
            "GP_SOURCES": format_sources(sources),
        }
        children.append(
            Child(node.name, (*command, "node"), {**common, **own}, grace_s=NODE_GRACE_S)
        )
    return children


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without GP_* of his own, which are not for these nodes."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GP_")}
    return kept | {"PYTHONUNBUFFERED": "1"}
