"""How the simulated members sign: really, or cheaply where only speed is measured.

The core asks `checks.recover` and `proof.recover`; `installed` puts a scheme there for as long as
a world lives. The real scheme is the core's own, called once for each (digest, signature) and
remembered: it is pure. The cheap one proves nothing and stands in for speed runs only.

With either, what every receiver would work out alike from the same bytes (an envelope's values, a
heartbeat's digest) is worked out once: both are pure, and values are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from gossip_price import crypto
from gossip_price.core import (
    checks,
    doorkeeper,
    judging,
    listening,
    presence,
    proof,
    rounds,
    wire,
    writing,
)
from gossip_price.core.quorum import read_signers
from gossip_price.core.rounds import order_proposers, order_writers
from gossip_price.core.testimony import find_unchanged
from gossip_price.core.wire import UNSIGNED, Heartbeat
from gossip_price.crypto import SignatureError

_REMEMBERED: Final = 65_536
#: As many as are on their way at once.
_MESSAGES_REMEMBERED: Final = 512


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
CHEAP: Final = Scheme("cheap", _sign_cheaply, _remembering(_recover_cheaply))


@contextmanager
def installed(scheme: Scheme) -> Iterator[None]:
    """Let the core recover by this scheme, and read each message once for all receivers."""
    decode, compute_digest = wire.decode, Heartbeat.compute_digest
    digest_of = lru_cache(_MESSAGES_REMEMBERED)(compute_digest)

    def compute_digest_once(self: Heartbeat, separator: bytes) -> bytes:
        # Who signs it asks before, who hears it afterwards; the digest is the same.
        is_signed = self.signature is not UNSIGNED
        unsigned = msgspec.structs.replace(self, signature=UNSIGNED) if is_signed else self
        return digest_of(unsigned, separator)

    remembered = (
        (listening, "decode", decode),
        (checks, "check_form", checks.check_form),
        (checks, "check_words", checks.check_words),
        (presence, "find_unchanged", find_unchanged),
        (doorkeeper, "read_signers", read_signers),
        (judging, "verify_row", proof.verify_row),
        (proof, "read_signatures", proof.read_signatures),
        (rounds, "order_proposers", order_proposers),
        (writing, "order_writers", order_writers),
    )
    replaced = [
        (checks, "recover", crypto.recover, scheme.recover),
        (proof, "recover", crypto.recover, scheme.recover),
        *(
            (place, name, usual, lru_cache(_MESSAGES_REMEMBERED)(usual))
            for place, name, usual in remembered
        ),
        (Heartbeat, "compute_digest", compute_digest, compute_digest_once),
    ]
    before = []
    for place, name, usual, instead in replaced:
        # A deliberate bug may have taken the place already (`mutants`); it is not ours to mend.
        if vars(place)[name] is usual:
            before.append((place, name, usual))
            setattr(place, name, instead)
    try:
        yield
    finally:
        for place, name, usual in before:
            setattr(place, name, usual)
