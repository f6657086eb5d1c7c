"""Hashes and signatures: keccak-256, EIP-712 digests, recoverable secp256k1. Pure.

Knows nothing of prices or networks: callers bring the struct's type and its values.
Sources: EIP-712 (typed structured data), RFC 6979 (deterministic nonces), EIP-2 (low s).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

import sha3
from coincurve import PrivateKey, PublicKey

SIGNATURE_LENGTH: Final = 65
#: Order of the secp256k1 group (SEC 2, section 2.4.1).
CURVE_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_HALF_ORDER: Final = CURVE_ORDER // 2
_ELECTRUM_OFFSET: Final = 27

Value = int | str | bytes | Sequence[bytes]


class SignatureError(ValueError):
    """These bytes are not a signature that the protocol accepts."""


def keccak256(data: bytes) -> bytes:
    """Hash `data` with the original Keccak (Ethereum's, not NIST's SHA3-256); 32 bytes."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@lru_cache(maxsize=1024)
def _hash_text(text: str) -> bytes:
    return keccak256(text.encode())


#: Most fields of a heartbeat are those of the one before, or of the other members: a hash of these
#: is kept, a megabyte in all whoever sends what. A longer one (many open ids) hardly comes twice.
_hash_field: Final = lru_cache(maxsize=1024)(keccak256)
_FIELD_BYTES_KEPT: Final = 1024


def _find_encoder(kind: str) -> Callable[[Value], bytes]:
    """Return what encodes a value of this kind, looked up once a type and not once a value."""
    if kind.startswith("uint"):
        return partial(_encode_uint, int(kind[4:]) // 8)
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        raise ValueError(f"not an EIP-712 struct type: {kind!r} is none that the protocol uses")
    return encoder


def _encode_uint(size: int, value: Value) -> bytes:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no uint{size * 8}")
    try:
        return value.to_bytes(size, "big").rjust(32, b"\0")
    except OverflowError:
        raise ValueError(f"{value} does not fit uint{size * 8}") from None


def _encode_address(value: Value) -> bytes:
    if isinstance(value, bytes) and len(value) == 20:
        return value.rjust(32, b"\0")
    raise ValueError(f"{value!r} is no address")


def _encode_bytes32(value: Value) -> bytes:
    if isinstance(value, bytes) and len(value) == 32:
        return value
    raise ValueError(f"{value!r} is no bytes32")


def _encode_string(value: Value) -> bytes:
    if isinstance(value, str):
        return _hash_text(value)
    raise ValueError(f"{value!r} is no string")


def _encode_bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _hash_field(value) if len(value) <= _FIELD_BYTES_KEPT else keccak256(value)
    raise ValueError(f"{value!r} is no bytes")


def _encode_bytes32_array(value: Value) -> bytes:
    if isinstance(value, int | str | bytes):
        raise ValueError(f"{value!r} is no bytes32[]")
    return keccak256(b"".join(_encode_bytes32(item) for item in value))


_ENCODERS: Final[dict[str, Callable[[Value], bytes]]] = {
    "address": _encode_address,
    "bytes32": _encode_bytes32,
    "string": _encode_string,
    "bytes": _encode_bytes,
    "bytes32[]": _encode_bytes32_array,
}


class StructType:
    """An EIP-712 struct type, made from its own type string.

    Supported members are those that the protocol uses: `bytes32`, `address` (20 bytes),
    `uint8` … `uint256`, `string`, `bytes` and `bytes32[]`.
    """

    __slots__ = ("_encoders", "definition", "members", "type_hash")

    def __init__(self, definition: str) -> None:
        match = re.fullmatch(r"[A-Za-z]\w*\((.*)\)", definition)
        if match is None:
            raise ValueError(f"not an EIP-712 struct type: {definition!r}")
        self.definition = definition
        self.type_hash = keccak256(definition.encode())
        pairs = [part.split(" ") for part in match.group(1).split(",")]
        self.members = tuple(name for _, name in pairs)
        self._encoders = tuple(_find_encoder(kind) for kind, _ in pairs)

    def encode(self, *values: Value) -> bytes:
        """Return `typeHash ‖ encodeData`: 32 bytes for the type and for each value."""
        if len(values) != len(self._encoders):
            raise ValueError(f"{self.definition} takes {len(self._encoders)} values")
        words = [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        return b"".join((self.type_hash, *words))

    def compute_digest(self, separator: bytes, *values: Value) -> bytes:
        """Return the 32 bytes that are signed, for a domain's `separator`."""
        return compute_struct_digest(separator, self.encode(*values))


def compute_struct_digest(separator: bytes, encoded: bytes) -> bytes:
    """Return the EIP-712 digest of a struct that is already encoded (`typeHash ‖ encodeData`)."""
    return keccak256(b"\x19\x01" + separator + keccak256(encoded))


_DOMAIN = StructType("EIP712Domain(string name,string version,bytes32 salt)")


@lru_cache(maxsize=64)
def compute_domain_separator(name: str, version: str, salt: bytes) -> bytes:
    """Return the EIP-712 domain separator of a domain without chain or contract."""
    return keccak256(_DOMAIN.encode(name, version, salt))


@lru_cache(maxsize=4096)
def compute_address(public_key: bytes) -> bytes:
    """Return the 20-byte address of an uncompressed public key (65 bytes, leading 4).

    Cached: a network's few members sign everything, and hashing costs half of a recovery.
    """
    return keccak256(public_key[1:])[-20:]


def get_address(secret: bytes) -> bytes:
    """Return the 20-byte address of a 32-byte private key."""
    return compute_address(PrivateKey(secret).public_key.format(compressed=False))


def sign(secret: bytes, digest: bytes) -> bytes:
    """Sign a 32-byte digest: r ‖ s ‖ v, 65 bytes, v 27 or 28, low s, RFC 6979."""
    raw = PrivateKey(secret).sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes([raw[64] + _ELECTRUM_OFFSET])


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the 20-byte address that signed `digest`.

    Raises SignatureError for a wrong length, a high s (a second spelling of the same
    signature), a v that is neither 27 nor 28, and r, s that are no point of the curve.
    """
    if len(signature) != SIGNATURE_LENGTH:
        raise SignatureError(f"a signature has {SIGNATURE_LENGTH} bytes, not {len(signature)}")
    v = signature[64]
    if v not in (27, 28):
        raise SignatureError(f"v is 27 or 28, not {v}")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise SignatureError("s is in the upper half of the curve's order")
    try:
        public_key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([v - _ELECTRUM_OFFSET]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception for r, s that are no point
        raise SignatureError("r and s do not recover to a public key") from error
    return compute_address(public_key.format(compressed=False))
