"""Finds dead connections by pinging each, and cuts them.

Yamux's own pings never close anything (a stopped peer stayed for 100 s), and libp2p's ping
service lets one dead peer hold up all. Every connection is probed, not every peer: a peer
that came back has a dead one beside its live one, and pubsub may still write to the dead.
"""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Callable
from typing import Any

import trio
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PING_LENGTH
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from gossip_price.adapters.libp2p.config import Tuning
from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.adapters.libp2p.muxer import cut

log = logging.getLogger(__name__)


async def _ping(host: Any, connection: Any) -> float:
    """Return the seconds between ping and pong; what making the stream takes is not in them."""
    stream = await connection.new_stream()
    try:
        communicator = MultiselectCommunicator(stream)
        stream.set_protocol(await host.multiselect_client.select_one_of([PING], communicator))
        sent, got = os.urandom(PING_LENGTH), b""
        began = trio.current_time()
        await stream.write(sent)
        while len(got) < PING_LENGTH:
            piece = await stream.read(PING_LENGTH - len(got))
            if not piece:
                raise OSError("the stream ended within a pong")
            got += piece
        if got != sent:
            raise OSError("the pong is another one's")
        return trio.current_time() - began
    finally:
        with trio.move_on_after(1) as scope:
            scope.shield = True
            await stream.reset()


async def run_prober(
    host: Any, tuning: Tuning, counters: Counters, tell: Callable[[Any, float], None]
) -> None:
    """Ping every connection for ever; cut those that miss `ping_strikes` pongs in a row.

    `tell(connection, seconds)` is called for each pong.
    """
    strikes: collections.Counter[int] = collections.Counter()

    async def probe(connection: Any) -> None:
        answered = False
        with trio.move_on_after(tuning.ping_timeout_s):
            try:
                tell(connection, await _ping(host, connection))
                answered = True
            except Exception as error:  # noqa: BLE001  # supervising edge: any end is a strike
                log.debug("ping of %s: %r", connection.muxed_conn.peer_id, error)
        if answered or connection.is_closed:
            strikes.pop(id(connection), None)
            return
        strikes[id(connection)] += 1
        if strikes[id(connection)] >= tuning.ping_strikes:
            del strikes[id(connection)]
            counters.dead_connections += 1
            peer = str(connection.muxed_conn.peer_id)
            log.info("peer_cut", extra={"peer": peer, "reason": "does not answer"})
            await cut(connection)

    while True:
        await trio.sleep(tuning.ping_interval_s)
        connections = host.get_network().get_connections()
        alive = {id(connection) for connection in connections}
        for gone in strikes.keys() - alive:
            del strikes[gone]
        async with trio.open_nursery() as nursery:  # ends in at most ping_timeout_s and the cut
            for connection in connections:
                nursery.start_soon(probe, connection)
