"""What the p2p transport needs to know to start: frozen values, no libp2p.

Knows nothing of prices, rosters or environment variables; `app` fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tuning:
    """Intervals and bounds, in seconds where named _s. Tests make them small."""

    #: How often the redial loop looks around.
    tick_s: float = 1.0
    #: How long a dial, handshake included, may take.
    dial_timeout_s: float = 8.0
    #: Dialed until this many members are connected: all of a small network, and enough of a
    #: large one for a mesh of six (a connection idles at 0.01 % of a core).
    connections_wanted: int = 16
    #: Backoff of an ordinary peer doubles up to this; a new address resets it.
    backoff_max_s: float = 60.0
    #: A bootstrap that comes back must not wait: measured, 60 s left nodes alone for a minute.
    bootstrap_backoff_max_s: float = 5.0
    #: Each connection is pinged this often; two missed pongs cut it.
    ping_interval_s: float = 10.0
    ping_timeout_s: float = 5.0
    ping_strikes: int = 2
    #: Own addresses are announced at least this often, and soon after a new peer came.
    announce_interval_s: float = 60.0
    announce_soon_s: float = 2.0
    #: The DHT is asked this often while connections are wanting, ten times less when not.
    lookup_interval_s: float = 5.0
    #: A peer book that changed is handed to `learned` at most this often.
    learned_interval_s: float = 5.0
    #: A penalized peer is refused this long.
    ban_s: float = 300.0
    #: Security and muxer handshake of an inbound connection.
    upgrade_timeout_s: float = 5.0
    #: Handshakes under way from one address, and from all; beyond, the oldest gives way.
    pending_per_ip: int = 32
    pending_total: int = 512
    #: Live connections, and how many of them may be strangers' in an open network.
    connections_max: int = 256
    strangers_max: int = 96
    #: Listening and joining the DHT and topics, before `start` gives up.
    start_timeout_s: float = 20.0


@dataclass(frozen=True)
class LibP2pConfig:
    """One node's place in one network."""

    identity_secret: bytes = field(repr=False)
    """secp256k1 private key of the libp2p identity, 32 bytes; never the signing key."""
    listen: tuple[str, ...]
    """Multiaddresses to listen on: `/ip4/0.0.0.0/tcp/4001`; port 0 takes a free one."""
    network_id: bytes
    """32 bytes; names the topics and the DHT, so that networks never mix."""
    bootstrap: tuple[str, ...] = ()
    """Full multiaddresses with `/p2p/` id; always dialed, always admitted."""
    announce: tuple[str, ...] = ()
    """Addresses that others should dial; left empty they follow from `listen`."""
    open_access: bool = False
    """True admits anybody to listen; False (Private) only `allowed` and the bootstraps."""
    allowed: frozenset[str] = frozenset()
    """Peer ids of the members at start; `admit` replaces them."""
    is_bootstrap: bool = False
    """Takes part in announcements and the DHT, carries no price messages."""
    known_peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The peer book as it was persisted: addresses by peer id, newest first."""
    tuning: Tuning = Tuning()

    def __post_init__(self) -> None:
        if len(self.identity_secret) != 32:
            raise ValueError(
                f"identity_secret has {len(self.identity_secret)} bytes; a secp256k1 key has 32"
            )
        if len(self.network_id) != 32:
            raise ValueError(f"network_id has {len(self.network_id)} bytes; it has 32")
        if not self.listen:
            raise ValueError("listen is empty; name at least one address, /ip4/0.0.0.0/tcp/4001")
