"""What `up` says before its processes do: who runs where, what to type, when a price will come.

Only words about values, and where programs are; starts nothing.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from gossip_price.adapters.datafolder import BOOTSTRAP, NETWORK_FILE, LocalNetwork
from gossip_price.cli.localnet import Layout
from gossip_price.network.durations import format_duration
from gossip_price.network.keys import shorten

#: From the banner until nodes have loaded libp2p (two seconds, all at once) and met each other.
START_S: Final = 6
#: From the end of the settle time until the writer's row is there.
WRITE_S: Final = 1
#: What people want to see of prices. `SELECT *` would show 2 kB a row, most of it signatures.
QUERY: Final = (
    "SELECT to_timestamp(round) AS round, pair, price, first_signer,"
    " jsonb_array_length(sign_data) AS signatures FROM prices ORDER BY round DESC LIMIT 10"
)
_NAME: Final = "gossip-price"


@dataclass(frozen=True)
class Programs:
    """How two programs are called from the folder in which `up` was started, ready for a shell."""

    gossip_price: str
    psql: str

    @classmethod
    def find(cls, *, bundled_psql: Path | None) -> Self:
        """Look where they are: the first as we were started, psql on PATH or the bundled one."""
        psql = "psql"
        if bundled_psql is not None and shutil.which(psql) is None:
            psql = shlex.quote(str(_shorten_path(bundled_psql)))
        return cls(describe_program(sys.argv[0], sys.executable), psql)


@dataclass(frozen=True)
class Start:
    """What is about to run. `database` is a URL; `bundled_psql` is None where that is not ours."""

    network: LocalNetwork
    layout: Layout
    folder: Path
    database: str = field(repr=False)
    prices: str
    bundled_psql: Path | None


def make_lines(start: Start, now_s: int) -> list[str]:
    """Return the banner for people."""
    programs = Programs.find(bundled_psql=start.bundled_psql)
    first = compute_first_round(start.network, now_s)
    return [
        *list_processes(start.network, start.layout, start.prices),
        "",
        *make_hints(start.folder, hide_password(start.database), programs),
        "",
        foretell(start.network, first, now_s),
        "",
    ]


def make_fields(start: Start, now_s: int) -> dict[str, Any]:
    """Return the banner for programs."""
    return {
        "nodes": list_addresses(start.network, start.layout),
        "first_round": compute_first_round(start.network, now_s),
        "database": hide_password(start.database),
        "data": str(start.folder),
        "prices": start.prices,
    }


def describe_program(started_as: str, interpreter: str) -> str:
    """Return what starts this program again, where `started_as` is `sys.argv[0]`."""
    started = Path(started_as)
    if started.name != _NAME:  # by `python -m gossip_price`
        return f"{shlex.quote(str(_shorten_path(Path(interpreter))))} -m gossip_price"
    found = shutil.which(_NAME)
    if found is not None and started.exists() and Path(found).samefile(started):
        return _NAME
    return shlex.quote(started_as)


def make_labels(network: LocalNetwork) -> dict[str, str]:
    """Return what to call each node by its name: with its number among the newest epoch's members.

    That is the number by which the live page and `status` go. A node that is no member any more
    goes by its name alone.
    """
    numbers = _number_members(network)
    return {
        node.name: f"{node.name} (member {numbers[node.member.address]})"
        if node.member.address in numbers
        else node.name
        for node in network.nodes
    }


def list_processes(network: LocalNetwork, layout: Layout, prices: str) -> list[str]:
    """Return the lines that say what runs where; `prices` says where prices come from."""
    document = network.file.epochs[-1]
    pairs = ", ".join(terms.pair for terms in document.pairs)
    labels = make_labels(network)
    width = max(map(len, (BOOTSTRAP, *labels.values()))) + 2
    lines = [
        f"{pairs} every {format_duration(document.interval)} by {len(document.members)} nodes, "
        f"{document.minimum_signers} signatures needed ({document.mode.value}), "
        f"settled after {format_duration(document.settle)}",
        f"prices    {prices}",
        "",
        f"{BOOTSTRAP:<{width}}http://{layout.get_http(0):<17}{layout.get_listen(0):<28}"
        f"{shorten(network.bootstrap_peer_id)}",
    ]
    return lines + [
        f"{labels[node.name]:<{width}}http://{layout.get_http(number):<17}"
        f"{layout.get_listen(number):<28}{shorten(node.member.peer_id)}"
        f"  signs as {node.member.address}"
        for number, node in enumerate(network.nodes, 1)
    ]


def make_hints(folder: Path, database: str, programs: Programs) -> list[str]:
    """Return where things are, and commands for a shell. `database` shows no password."""
    url = shlex.quote(database)
    network = shlex.quote(str(folder / NETWORK_FILE))
    hidden = "  (write its password in place of ***)" if "***" in database else ""
    return [
        f"data      {folder}",
        f"database  {database}{hidden}",
        f"look      {programs.psql} {url} -c {shlex.quote(QUERY)}",
        f"prove     {programs.gossip_price} verify --database {url} --network {network}",
    ]


def compute_first_round(network: LocalNetwork, now_s: int) -> int:
    """Return the start (Unix s) of the round in which nodes started now agree at the latest.

    Nobody proposes in the round of its own start, and a new journal signs no round that began
    before it or within the skew bound after.
    """
    document = network.file.epochs[-1]
    is_new = not all(node.journal.exists() for node in network.nodes)
    ready = now_s + START_S + (document.skew if is_new else 0)
    return ready + -ready % document.interval


def foretell(network: LocalNetwork, first: int, now_s: int, zone: tzinfo | None = None) -> str:
    """Say when the first price may be expected; `first` is the start of its round."""
    settle = network.file.epochs[-1].settle
    stored = first + settle + WRITE_S
    clock = datetime.fromtimestamp(stored, zone)
    return (
        f"Ctrl-C ends it. The first price is stored by {clock:%H:%M:%S}"
        f" (in {format_duration(stored - now_s)})."
    )


def list_addresses(network: LocalNetwork, layout: Layout) -> list[dict[str, Any]]:
    """Return what runs where, for machines; bootstrap first. `member` is None for who is none."""
    numbers = _number_members(network)
    everybody: list[tuple[str, str, str | None]] = [(BOOTSTRAP, network.bootstrap_peer_id, None)]
    everybody += [(node.name, node.member.peer_id, node.member.address) for node in network.nodes]
    return [
        {
            "name": name,
            "http": f"http://{layout.get_http(number)}",
            "p2p": f"{layout.get_listen(number)}/p2p/{peer_id}",
            "member": numbers.get(address),
            "address": address,
        }
        for number, (name, peer_id, address) in enumerate(everybody)
    ]


def _number_members(network: LocalNetwork) -> Mapping[str | None, int]:
    members = network.file.epochs[-1].members
    return {member.address: number for number, member in enumerate(members)}


def _shorten_path(path: Path) -> Path:
    """Return the path from here, where it leads further down."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


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
