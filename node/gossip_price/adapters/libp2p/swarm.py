"""The host and its swarm, with the inbound path of libp2p 0.8.1 replaced by one that lasts.

As shipped an inbound slot never comes back (the 251st connection of a process's life is
refused), handshakes have no limit by origin, and an exception in a stream's handler ends the
swarm. Here a slot is held while the connection lives; of too many handshakes under way the
oldest gives way, so that silent sockets cannot lock anybody out.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import coincurve
import trio
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
from libp2p.network.config import ConnectionConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.rcmgr import ResourceManager

from gossip_price.adapters.libp2p import quiet
from gossip_price.adapters.libp2p.config import LibP2pConfig
from gossip_price.adapters.libp2p.muxer import PROTOCOL_ID as YAMUX
from gossip_price.adapters.libp2p.muxer import GuardedYamux
from gossip_price.adapters.libp2p.noise import PROTOCOL_ID as NOISE
from gossip_price.adapters.libp2p.noise import GatedNoise

log = logging.getLogger(__name__)


class Pending:
    """Inbound handshakes under way, by IP. Which must end is decided; the caller ends it."""

    def __init__(self, per_ip: int, total: int) -> None:
        self._per_ip = per_ip
        self._total = total
        self._scopes: dict[str, dict[trio.CancelScope, None]] = {}

    def enter(self, ip: str, scope: trio.CancelScope) -> trio.CancelScope | None:
        """Note a new handshake; return the one that gives way to it, if one must.

        The oldest of the same IP, when it has its share; else, when all together are too
        many, the oldest of the IP that has most. A live peer needs milliseconds.
        """
        full = len(self._scopes.get(ip, ())) >= self._per_ip
        crowded = sum(map(len, self._scopes.values())) >= self._total
        victim = None
        if full or crowded:
            most = max(self._scopes, key=lambda each: len(self._scopes[each]))
            victim = next(iter(self._scopes[ip if full else most]))
            self.leave(ip if full else most, victim)
        self._scopes.setdefault(ip, {})[scope] = None
        return victim

    def leave(self, ip: str, scope: trio.CancelScope) -> None:
        """Forget a handshake that ended; nothing if it is forgotten already."""
        scopes = self._scopes.get(ip, {})
        scopes.pop(scope, None)
        if not scopes:
            self._scopes.pop(ip, None)


def build_host(
    config: LibP2pConfig,
    may_connect: Callable[[str], bool],
    list_announced: Callable[[list[Any]], list[Any]],
) -> Any:
    """Make a host with Noise alone and Yamux alone, by TCP; it does not listen yet."""
    private_key = Secp256k1PrivateKey(coincurve.PrivateKey(config.identity_secret))
    key_pair = KeyPair(private_key, private_key.get_public_key())
    tuning = config.tuning
    host = quiet.new_host(
        key_pair=key_pair,
        # Left out, libp2p also takes plaintext from whoever proposes it.
        sec_opt={NOISE: GatedNoise(key_pair, may_connect)},
        muxer_opt={YAMUX: GuardedYamux},
        connection_config=ConnectionConfig(
            max_connections=tuning.connections_max,
            high_watermark=tuning.connections_max,
            # libp2p's own connector took 65 s to reconnect; ours does it, see below.
            min_connections=0,
            low_watermark=0,
            max_connections_per_peer=2,
            inbound_upgrade_timeout=tuning.upgrade_timeout_s,
            outbound_upgrade_timeout=tuning.upgrade_timeout_s,
        ),
        resource_manager=ResourceManager(
            enable_rate_limiting=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
        ),
        addrs_factory=list_announced,
        # What strangers say our address is must not become what we announce.
        disable_identify_address_discovery=True,
    )
    swarm = host.get_network()
    # With a low watermark of 0 it still dials, at the first moment, half of the high one.
    swarm.auto_connector.maybe_connect = _do_nothing
    swarm.auto_connector.run_background_task = _do_nothing
    swarm.retry_config.max_retries = 0  # our redial loop tries again, with its own backoff
    _guard_streams(swarm)
    _replace_inbound(swarm, Pending(tuning.pending_per_ip, tuning.pending_total))
    return host


async def _do_nothing(*_: Any) -> None: ...


def _guard_streams(swarm: Any) -> None:
    handle = swarm.common_stream_handler

    async def guarded(stream: Any) -> None:
        try:
            await handle(stream)
        except Exception as error:  # noqa: BLE001  # supervising edge: a peer's stream, logged
            peer = str(stream.muxed_conn.peer_id)
            log.info("stream_broke", extra={"peer": peer, "reason": repr(error)})
            with trio.move_on_after(1) as scope:
                scope.shield = True
                try:
                    await stream.reset()
                except Exception as trouble:  # noqa: BLE001  # as above: it may be gone already
                    log.debug("resetting it: %r", trouble)

    swarm.set_stream_handler(guarded)


def _replace_inbound(swarm: Any, pending: Pending) -> None:
    async def handle_inbound(stream: Any, listener: Any, _event: Any) -> None:
        raw = RawConnection(stream, False)
        ip = (stream.get_remote_address() or ("unknown", 0))[0]
        try:
            with trio.CancelScope() as scope:
                victim = pending.enter(ip, scope)
                if victim is not None:
                    victim.cancel()
                try:
                    muxed = await swarm.upgrade_inbound_raw_conn(raw, listener)
                finally:
                    pending.leave(ip, scope)
                # Past the handshake nobody may take this scope for a pending one.
                await muxed.event_closed.wait()
        except Exception as error:  # noqa: BLE001  # supervising edge: a stranger's bytes, logged
            log.debug("inbound from %s ended: %r", ip, error)
        finally:
            with trio.move_on_after(2) as closing:
                closing.shield = True
                try:
                    await raw.close()
                except Exception as trouble:  # noqa: BLE001  # as above: it may be gone already
                    log.debug("closing it: %r", trouble)

    swarm._inbound_limiter = trio.CapacityLimiter(math.inf)
    swarm._do_handle_inbound_connection = handle_inbound
