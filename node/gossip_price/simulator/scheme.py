"""How the simulated members sign: really, or cheaply where only speed is measured.

The core asks `checks.recover` and `proof.recover`; `installed` puts a scheme there for as long as
a world lives. The real scheme is the core's own, called once for each (digest, signature) and
remembered: it is pure. The cheap one proves nothing and stands in for speed runs only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from gossip_price import crypto
from gossip_price.core import checks, proof
from gossip_price.crypto import SignatureError

_REMEMBERED: Final = 65_536


class Scheme(NamedTuple):
    """Sign with (secret, digest); recover an address from (digest, signature)."""

    name: str
    sign: Callable[[bytes, bytes], bytes]
    recover: Callable[[bytes, bytes], bytes]


def _remembering(recover: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    @lru_cache(maxsize=_REMEMBERED)
    def answer(digest: bytes, signature: bytes) -> bytes | SignatureError:
        try:
            return recover(digest, signature)
        except SignatureError as error:
            return error

    def ask(digest: bytes, signature: bytes) -> bytes:
        address = answer(digest, signature)
        if isinstance(address, SignatureError):
            raise address.with_traceback(None)
        return address

    return ask


@lru_cache(maxsize=1024)
def _get_address(secret: bytes) -> bytes:
    return crypto.get_address(secret)


def _sign_cheaply(secret: bytes, digest: bytes) -> bytes:
    address = _get_address(secret)
    return address + blake2b(digest, key=address, digest_size=45).digest()


def _recover_cheaply(digest: bytes, signature: bytes) -> bytes:
    address = signature[:20]
    if signature[20:] != blake2b(digest, key=address, digest_size=45).digest():
        raise SignatureError("not over these bytes")
    return address


REAL: Final = Scheme("real", crypto.sign, _remembering(crypto.recover))
CHEAP: Final = Scheme("cheap", _sign_cheaply, _recover_cheaply)


@contextmanager
def installed(scheme: Scheme) -> Iterator[None]:
    """Let the core recover by this scheme."""
    places = [vars(module) for module in (checks, proof)]
    before = [place["recover"] for place in places]
    for place in places:
        # A deliberate bug may have taken the place already (`mutants`); it is not ours to mend.
        if place["recover"] is crypto.recover:
            place["recover"] = scheme.recover
    try:
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            place["recover"] = was
