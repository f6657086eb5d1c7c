"""Signed address records, which libp2p puts into and checks in every pubsub message, cached.

Verifying the same record again for each message is most of a message's CPU; making our own
anew compares all our addresses. Both are remembered for a bounded number of peers and time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final
from weakref import WeakKeyDictionary

import libp2p.pubsub.gossipsub as _gossipsub  # isort: skip
import libp2p.pubsub.pubsub as _pubsub  # isort: skip

#: A record in libp2p's peer store lives two hours; ours is refreshed well within.
SEEN_S: Final = 600.0
SEEN_MAX: Final = 512
#: Our own addresses may change; others hear of it within this time.
OWN_S: Final = 30.0

_consume = _pubsub.maybe_consume_signed_record
_make = _pubsub.env_to_send_in_RPC
_seen: WeakKeyDictionary[Any, OrderedDict[Any, tuple[bytes, float]]] = WeakKeyDictionary()
_own: WeakKeyDictionary[Any, tuple[bytes, float]] = WeakKeyDictionary()


def consume_once(message: Any, host: Any, peer: Any) -> bool:
    """Check a message's record, unless it is the one we checked for this peer last."""
    if not message.HasField("senderRecord"):
        return True
    seen = _seen.setdefault(host, OrderedDict())
    record, now = message.senderRecord, time.monotonic()
    last = seen.get(peer)
    if last is not None and last[0] == record and now - last[1] < SEEN_S:
        return True
    if not _consume(message, host, peer):
        return False
    seen[peer] = (record, now)
    seen.move_to_end(peer)
    while len(seen) > SEEN_MAX:
        seen.popitem(last=False)
    return True


def get_own(host: Any) -> tuple[bytes, bool]:
    """Return our own record for a message, as libp2p's function does."""
    now = time.monotonic()
    last = _own.get(host)
    if last is None or now - last[1] > OWN_S:
        last = _own[host] = (_make(host)[0], now)
    return last[0], False


for _module in (_pubsub, _gossipsub):
    _module.maybe_consume_signed_record = consume_once
    _module.env_to_send_in_RPC = get_own
