"""An overview in a terminal, with colours where it has them. Decides nothing.

Whatever a member could choose (a version, a reason) is printed without what would steer a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gossip_price.adapters.console import clean
from gossip_price.adapters.overview.answers import Member, Network, Overview, Price, Row
from gossip_price.adapters.overview.verdict import compute_price_age_max_s
from gossip_price.network.keys import shorten

#: A row of more counts does not fit into a line.
MATRIX_MEMBERS_MAX: Final = 16
_STYLES: Final = {"alive": "green", "late": "yellow", "silent": "bold red", "never": "bold red"}
_DIM, _WARN, _BAD, _GOOD = "dim", "yellow", "bold red", "bold green"
_UNKNOWN: Final = "-"
#: Of each column whether it stands to the right.
_COLUMNS: Final = {
    "#": True,
    "address": False,
    "state": False,
    "last seen": True,
    "clock": True,
    "ping": True,
    "peers": True,
    "db": False,
    "version": False,
}
#: A bootstrap hears no heartbeats: of a member it knows its own connection to it.
_AT_BOOTSTRAP: Final = frozenset({"#", "address", "ping"})


def show(overview: Overview, reasons: Sequence[str], console: Console) -> None:
    """Print the network, its members, who hears whom, the newest prices, and the verdict."""
    network = overview.network
    _show_head(overview, console)
    console.print()
    console.print(_make_members(network))
    if network.matrix.rows:
        _show_matrix(network, console)
    _show_prices(overview, console)
    console.print()
    if not reasons:
        console.print(Text("healthy", style=_GOOD))
        return
    console.print(Text("degraded", style=_BAD))
    for reason in reasons:
        console.print(Text(f"  {clean(reason)}", style=_WARN), soft_wrap=True)


def _show_head(overview: Overview, console: Console) -> None:
    network = overview.network
    epoch, quorum = network.epoch, network.quorum
    start = "" if epoch.start is None else f" since {_format_time(epoch.start)}"
    lines = [
        Text.assemble(("network ", "bold"), shorten(network.network_id)),
        Text(f"epoch   {epoch.number} ({shorten(epoch.hash)}){start}"),
        Text(
            f"rounds  every {network.interval} s, {network.mode}, settled after {network.settle} s"
        ),
        Text(f"seen by {_describe_node(network)} at {overview.url}, {_format_time(network.now)}"),
    ]
    if quorum.alive is not None and quorum.margin is not None:
        style = _BAD if quorum.margin < 0 else _WARN if quorum.margin == 0 else _GOOD
        words = f"{quorum.alive} of {len(network.members)} members there, {quorum.needed} must sign"
        lines.append(Text.assemble(f"quorum  {words}: ", (f"margin {quorum.margin:+}", style)))
    peers = network.connections
    lines.append(
        Text(
            f"peers   {peers.peers} connected, {peers.members} of them members;"
            f" {peers.inbound} inbound, {peers.outbound} outbound"
        )
    )
    if network.simulated:
        lines.append(Text("prices are SIMULATED: nobody's market", style=_WARN))
    for line in lines:
        console.print(line, soft_wrap=True)


def _describe_node(network: Network) -> str:
    mine = next((member for member in network.members if member.me), None)
    return clean(network.role) if mine is None else f"member {mine.index}"


def _make_members(network: Network) -> Table:
    table = Table(
        title="members",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    is_bootstrap = network.role == "bootstrap"
    shown = [heading for heading in _COLUMNS if not is_bootstrap or heading in _AT_BOOTSTRAP]
    for heading in shown:
        justify = "right" if _COLUMNS[heading] else "left"
        table.add_column(heading, justify=justify, no_wrap=True, header_style=_DIM)  # type: ignore[arg-type]  # rich's literal
    pings = {peer.peer_id: peer.ping_ms for peer in network.connections.list}
    for member in network.members:
        cells: dict[str, str | Text] = {
            "#": str(member.index),
            "address": shorten(member.address),
            "state": Text(member.state or _UNKNOWN, style=_STYLES.get(member.state or "", "")),
            "last seen": _format_seen(member),
            "clock": _format_offset(member, network),
            "ping": _format_ping(member, pings.get(member.peer_id)),
            "peers": _UNKNOWN if member.peers is None else str(len(member.peers)),
            "db": _format_database(member),
            "version": Text(_UNKNOWN if member.version is None else clean(member.version)),
        }
        table.add_row(*(cells[heading] for heading in shown))
    return table


def _format_seen(member: Member) -> str:
    if member.me:
        return "this node"
    return _UNKNOWN if member.silent_ms is None else f"{member.silent_ms // 1000} s ago"


def _format_offset(member: Member, network: Network) -> Text:
    if member.clock_offset_ms is None:
        return Text(_UNKNOWN)
    offset_s = member.clock_offset_ms / 1000
    is_off = abs(offset_s) > network.skew
    style = _BAD if is_off else _WARN if abs(offset_s) > network.skew / 2 else ""
    return Text(f"{offset_s:+z.1f} s", style=style)


def _format_ping(member: Member, ping_ms: float | None) -> Text:
    if member.me:
        return Text("")
    if not member.connected:
        return Text("unconnected", style=_DIM)
    return Text(_UNKNOWN if ping_ms is None else f"{ping_ms:.0f} ms")


def _format_database(member: Member) -> Text:
    if member.database is None:
        return Text(_UNKNOWN)
    return Text("yes") if member.database else Text("no", style=_WARN)


def _show_matrix(network: Network, console: Console) -> None:
    console.print()
    console.print(Text("who hears whom", style="bold"))
    members = network.members
    if len(members) > MATRIX_MEMBERS_MAX:
        console.print(f"  {len(members)} members do not fit into a line; --json has all of it")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for member in members:
        table.add_column(str(member.index), justify="right", no_wrap=True, header_style=_DIM)
    for member, row in zip(members, network.matrix.rows, strict=False):
        is_stale = member.state not in ("alive", "late")
        cells = [_format_count(row, place, is_stale=is_stale) for place in range(len(members))]
        table.add_row(Text(f"{member.index} has heard", style=_DIM), *cells)
    console.print(table)


def _format_count(row: Row, place: int, *, is_stale: bool) -> Text:
    count = row.heard[place] if place < len(row.heard) else None
    hears = row.hears[place] if place < len(row.hears) else None
    if count is None:
        return Text("·", style=_DIM)
    if is_stale:
        return Text(str(count), style=_DIM)
    # Not by colour alone: a pipe has none, and not everybody sees red.
    return Text(f"{count}!", style=_BAD) if hears is False else Text(f"{count} ", style="green")


def _show_prices(overview: Overview, console: Console) -> None:
    console.print()
    console.print(Text("newest settled prices", style="bold"))
    if overview.network.role == "bootstrap":
        # Nor does it know whether they are simulated: that is each member's own source.
        console.print(
            "  a bootstrap hears none, and does not know whether they are simulated:"
            " give --url of a member",
            soft_wrap=True,
        )
        return
    if not overview.status.prices:
        console.print("  none yet")
    for price in overview.status.prices:
        console.print(_format_price(price, overview), soft_wrap=True)


def _format_price(price: Price, overview: Overview) -> Text:
    age_s = int(overview.network.now.timestamp()) - price.round
    is_old = age_s > compute_price_age_max_s(overview)
    amount = Decimal(price.price).scaleb(-price.decimals) if price.price.isdigit() else "?"
    return Text.assemble(
        f"  {clean(price.pair)}  ",
        (f"{amount}", "bold"),
        f"  {price.signers} signers, round of {_format_time(_from_unix(price.round))}",
        (f", {age_s} s ago", _BAD if is_old else ""),
    )


def _from_unix(unix_s: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _format_time(moment: datetime | None) -> str:
    if moment is None:
        return "?"
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
