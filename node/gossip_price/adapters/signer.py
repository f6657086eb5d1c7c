"""A signing key held in this process's memory."""

from __future__ import annotations

from gossip_price import crypto


class LocalSigner:
    """A `ports.Signer` over a 32-byte private key; the key is in no repr."""

    __slots__ = ("_secret", "address")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.address = crypto.get_address(secret)

    def sign(self, digest: bytes) -> bytes:
        """Sign 32 bytes: r ‖ s ‖ v, low s, RFC 6979."""
        return crypto.sign(self._secret, digest)

    def __repr__(self) -> str:
        return f"LocalSigner(0x{self.address.hex()})"
