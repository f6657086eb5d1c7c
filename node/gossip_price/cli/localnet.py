"""What `up` runs: from a network to its processes, and what is said of them.

Only decisions about values; `up` does what is decided here. Starts nothing, opens nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gossip_price.adapters.datafolder import BOOTSTRAP, NETWORK_FILE, LocalNetwork
from gossip_price.adapters.feed import DEFAULT_STARTS
from gossip_price.adapters.supervisor import Child
from gossip_price.adapters.tcp_ports import HOST
from gossip_price.network.durations import format_duration
from gossip_price.network.keys import shorten
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


def make_banner(
    network: LocalNetwork, layout: Layout, *, folder: Path, database: str, feed: str
) -> list[str]:
    """Return the lines that say what runs where. `database` is shown: no password in it."""
    document = network.file.epochs[-1]
    pairs = ", ".join(terms.pair for terms in document.pairs)
    lines = [
        f"{pairs} every {format_duration(document.interval)} by {len(document.members)} nodes, "
        f"{document.minimum_signers} signatures needed ({document.mode.value}), "
        f"settled after {format_duration(document.settle)}",
        f"prices    {feed}",
        "",
        f"{BOOTSTRAP:<10}http://{layout.get_http(0):<17}{layout.get_listen(0):<28}"
        f"{shorten(network.bootstrap_peer_id)}",
    ]
    lines += [
        f"{node.name:<10}http://{layout.get_http(number):<17}{layout.get_listen(number):<28}"
        f"{shorten(node.member.peer_id)}  signs as {node.member.address}"
        for number, node in enumerate(network.nodes, 1)
    ]
    url = shlex.quote(database)
    query = "SELECT * FROM prices ORDER BY round DESC LIMIT 10"
    return [
        *lines,
        "",
        f"data      {folder}",
        f"database  {database}",
        f"look      psql {url} -c {shlex.quote(query)}",
        f"prove     gossip-price verify --database {url} --network "
        f"{shlex.quote(str(folder / NETWORK_FILE))}",
    ]


def list_addresses(network: LocalNetwork, layout: Layout) -> list[dict[str, str]]:
    """Return what runs where, for machines; bootstrap first."""
    peer_ids = {BOOTSTRAP: network.bootstrap_peer_id} | {
        node.name: node.member.peer_id for node in network.nodes
    }
    return [
        {
            "name": name,
            "http": f"http://{layout.get_http(number)}",
            "p2p": f"{layout.get_listen(number)}/p2p/{peer_id}",
        }
        for number, (name, peer_id) in enumerate(peer_ids.items())
    ]


def hide_password(url: str) -> str:
    """Return a database URL that may be shown."""
    parts = urlsplit(url)
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    shown = f"{user}:***@{parts.netloc.rpartition('@')[2]}" if colon else parts.netloc
    fields = [field.partition("=") for field in parts.query.split("&")]
    query = "&".join(
        name + equals + ("***" if "password" in name.lower() else value)
        for name, equals, value in fields
    )
    # Not urlunsplit: it drops the two slashes before an empty host.
    return f"{parts.scheme}://{shown}{parts.path}{'?' if query else ''}{query}"
