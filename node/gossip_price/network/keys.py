"""Addresses and peer ids: how keys are named, as text and as bytes. Pure.

An address is Ethereum's (last 20 bytes of keccak of the public key, text by EIP-55);
a peer id is libp2p's (multihash of the protobuf-encoded public key, base58btc), made here
without libp2p so that the operator's image does not need it.
"""

from __future__ import annotations

import re
import secrets
from functools import lru_cache
from typing import Final

import base58
from coincurve import PrivateKey

from gossip_price.crypto import CURVE_ORDER, keccak256

#: protobuf PublicKey{Type: Secp256k1 (2), Data: 33 bytes}, libp2p peer-id specification
_PUBLIC_KEY_PREFIX: Final = bytes.fromhex("08021221")
#: identity multihash (code 0) of the 37 bytes
_IDENTITY_PREFIX: Final = bytes.fromhex("0025")
_PEER_ID_LENGTH: Final = 39


class KeyFormatError(ValueError):
    """A text or a file that is no key, address or peer id."""


def generate_secret() -> bytes:
    """Make a new secp256k1 private key, 32 bytes, from the system's randomness."""
    while True:
        secret = secrets.token_bytes(32)
        if 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
            return secret


def parse_secret(text: str) -> bytes:
    """Read a private key of 64 hex digits, with or without 0x. Never repeats it in an error."""
    digits = text.strip().removeprefix("0x")
    if re.fullmatch(r"[0-9a-fA-F]{64}", digits) is None:
        raise KeyFormatError("a private key is 64 hexadecimal digits")
    secret = bytes.fromhex(digits)
    if not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
        raise KeyFormatError("a private key lies between 1 and the order of secp256k1")
    return secret


def shorten(text: str) -> str:
    """Return an address or peer id as a screen shows it: `0x42c6…3d3f`."""
    return f"{text[:6]}…{text[-4:]}"


@lru_cache(maxsize=1024)  # members' addresses, again and again
def format_address(address: bytes) -> str:
    """Write 20 bytes as 0x and 40 hex digits with EIP-55's checksum in the letters' case."""
    digits = address.hex()
    mask = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, mask, strict=False)
    )


@lru_cache(maxsize=1024)  # the same; what is none is not remembered
def parse_address(text: str) -> bytes:
    """Read an address; mixed case must carry EIP-55's checksum."""
    if re.fullmatch(r"0x[0-9a-fA-F]{40}", text) is None:
        raise KeyFormatError(f"an address is 0x and 40 hexadecimal digits, not {text[:80]!r}")
    address = bytes.fromhex(text[2:])
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and format_address(address) != text:
        raise KeyFormatError(
            f"the checksum of address {text} is wrong (EIP-55): a digit is mistyped"
        )
    return address


def compute_peer_id(secret: bytes) -> str:
    """Return the libp2p peer id (`16Uiu2…`) of a secp256k1 identity key."""
    public_key = PrivateKey(secret).public_key.format(compressed=True)
    return str(base58.b58encode(_IDENTITY_PREFIX + _PUBLIC_KEY_PREFIX + public_key), "ascii")


def parse_peer_id(text: str) -> str:
    """Return `text` if it is the peer id of a secp256k1 key, in its one spelling."""
    try:
        raw = base58.b58decode(text)
    except ValueError:
        raw = b""
    prefix = _IDENTITY_PREFIX + _PUBLIC_KEY_PREFIX
    if len(raw) != _PEER_ID_LENGTH or not raw.startswith(prefix):
        raise KeyFormatError(f"a peer id is that of a secp256k1 key (16Uiu2…), not {text[:80]!r}")
    return text
