"""The p2p network behind `ports.Transport`: py-libp2p 0.8.1, wrapped.

Importing this folder imports libp2p (two seconds, 80 MB): import it where it is used. What
is wrong with libp2p and which file here makes it right is told in `docs/libp2p.md`.
"""

from gossip_price.adapters.libp2p import quiet  # noqa: F401  # first: it imports libp2p safely
from gossip_price.adapters.libp2p.config import LibP2pConfig, Tuning
from gossip_price.adapters.libp2p.transport import LibP2pTransport, TransportFailedError

__all__ = ["LibP2pConfig", "LibP2pTransport", "TransportFailedError", "Tuning"]
