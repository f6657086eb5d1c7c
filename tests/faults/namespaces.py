"""Network namespaces for the members, joined by a bridge in one of their own; nothing outside.

Addresses are 10.77.0.0/24 within these namespaces only. Losses and partitions are nftables rules in
a member's namespace, on the p2p traffic that reaches it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from typing import Final, Self

from faults.privileges import require_programs, require_root
from faults.real_network import Spot

_TABLE: Final = "inet gossip_price_fault"


class Namespaces:
    """One namespace for each member (`0`, `1`, …) and one for the hub with the bridge."""

    def __init__(self, members: int) -> None:
        require_root("make network namespaces")
        require_programs(ip="iproute2", nft="nftables")
        self._names = {"hub": f"gpf{os.getpid()}-hub"}
        self._names |= {str(member): f"gpf{os.getpid()}-{member}" for member in range(members)}
        self.spots = {
            name: Spot(_get_host(name), ("ip", "netns", "exec", space))
            for name, space in self._names.items()
        }

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for space in self._names.values():
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)

    def _make(self) -> None:
        hub = self._names["hub"]
        for space in self._names.values():
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", hub, "addr", "add", f"{_get_host('hub')}/24", "dev", "bridge")
        _ip("-n", hub, "link", "set", "bridge", "up")
        for name, space in self._names.items():
            if name == "hub":
                continue
            _ip("-n", space, "link", "add", "eth", "type", "veth", "peer", "name", f"v{name}",
                "netns", hub)  # fmt: skip
            _ip("-n", hub, "link", "set", f"v{name}", "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"{_get_host(name)}/24", "dev", "eth")
            _ip("-n", space, "link", "set", "eth", "up")

    def lose(self, percent: int) -> None:
        """Let every member miss this share of all packets of other members."""
        for name in self._members():
            others = ", ".join(_get_host(other) for other in self._members() if other != name)
            self._rule(name, f"ip saddr {{ {others} }} numgen random mod 100 < {percent} drop")

    def part(self, *sides: Iterable[int]) -> None:
        """Let members of different sides hear nothing of each other."""
        groups = [{str(member) for member in side} for side in sides]
        for group in groups:
            others = {name for other in groups if other is not group for name in other}
            hosts = ", ".join(_get_host(name) for name in sorted(others))
            for name in group:
                self._rule(name, f"ip saddr {{ {hosts} }} drop")

    def heal(self) -> None:
        """Let everything pass again."""
        for name in self._members():
            # To delete what is not there is an error; to add what is there is none.
            self._nft(name, f"add table {_TABLE}", f"delete table {_TABLE}")

    def _rule(self, name: str, rule: str) -> None:
        self._nft(
            name,
            f"add table {_TABLE}",
            f"add chain {_TABLE} input {{ type filter hook input priority 0; }}",
            f"add rule {_TABLE} input {rule}",
        )

    def _nft(self, name: str, *commands: str) -> None:
        subprocess.run(
            ["ip", "netns", "exec", self._names[name], "nft", "-f", "-"],
            input="\n".join(commands) + "\n",
            text=True,
            check=True,
        )

    def _members(self) -> list[str]:
        return [name for name in self._names if name != "hub"]


def _get_host(name: str) -> str:
    return "10.77.0.254" if name == "hub" else f"10.77.0.{int(name) + 1}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
