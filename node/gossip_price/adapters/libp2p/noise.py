"""The border: Noise as libp2p has it, and then one question to the peer id that it proved.

libp2p's own gate knows IP addresses only. Who may pass is the caller's decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.transport.exceptions import SecurityUpgradeFailure

__all__ = ["PROTOCOL_ID", "GatedNoise"]


class GatedNoise(Transport):  # type: ignore[misc]  # libp2p is untyped to us
    """Noise that ends a handshake, inbound or outbound, with a peer who may not connect."""

    def __init__(self, key_pair: Any, may_connect: Callable[[str], bool]) -> None:
        super().__init__(key_pair, noise_privkey=create_new_key_pair().private_key)
        self._may_connect = may_connect

    async def secure_inbound(self, conn: Any) -> Any:
        """Handshake as the one who was dialed, then check."""
        return await self._check(await super().secure_inbound(conn))

    async def secure_outbound(self, conn: Any, peer_id: Any) -> Any:
        """Handshake as the dialer, then check."""
        return await self._check(await super().secure_outbound(conn, peer_id))

    async def _check(self, session: Any) -> Any:
        peer = str(session.get_remote_peer())
        if not self._may_connect(peer):
            await session.close()
            raise SecurityUpgradeFailure(f"{peer} may not connect")
        return session
