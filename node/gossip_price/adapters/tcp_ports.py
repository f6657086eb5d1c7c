"""Free TCP ports of 127.0.0.1 for the processes of `up`."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import Final

HOST: Final = "127.0.0.1"
#: Below what systems hand out by themselves (Linux from 32768, macOS from 49152): so that no
#: outgoing connection takes a node's port while the node restarts.
_LOW: Final = 20_000
_HIGH: Final = 32_000
_TRIES_MAX: Final = 2_000


def is_free(port: int) -> bool:
    """Tell whether nobody listens on `port`."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose_ports(count: int, dice: random.Random, taken: Iterable[int] = ()) -> list[int]:
    """Return `count` different free ports, none of `taken`. Raises OSError if there are none."""
    excluded = set(taken)
    chosen: list[int] = []
    for _ in range(_TRIES_MAX + count):
        if len(chosen) == count:
            return chosen
        port = dice.randrange(_LOW, _HIGH)
        if port not in excluded and is_free(port):
            excluded.add(port)
            chosen.append(port)
    raise OSError(f"no {count} free ports between {_LOW} and {_HIGH} on {HOST}")
