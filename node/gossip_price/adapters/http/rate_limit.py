"""Too fast is 429: an allowance for each client, in bounded memory.

A client is its IP address, of IPv6 its /64, which one customer has for himself. What a proxy says
in X-Forwarded-For is not believed: anybody can say it.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gossip_price.adapters.http.problems import make_problem

#: Requests a second in the long run. A page of 500 prices costs some 20 ms: half of the loop's
#: time would be gone at this rate, and a person's page asks for one in several seconds.
RATE: Final = 20
_EACH_NS: Final = 1_000_000_000 // RATE
#: Requests at once after a pause: after a restart all listeners (LISTENERS_MAX) may come back from
#: behind one address at once, each with a page that loads.
BURST: Final = 512
#: Clients remembered, about 200 bytes each; beyond it who was quiet for longest is forgotten, and
#: begins anew with the whole burst.
CLIENTS_MAX: Final = 4_096

_PREFIX: Final = "/api/v1/"
#: The operator asks each node every few seconds, and must hear even while somebody floods us.
_FREE: Final = frozenset({"/api/v1/status"})


class RateLimiter:
    """Counts by client. `mono_ns` is a monotonic clock."""

    def __init__(self, mono_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._mono_ns = mono_ns
        #: When each client's allowance is whole again (the "theoretical arrival time" of GCRA).
        self._whole_ns: OrderedDict[str, int] = OrderedDict()

    @property
    def clients(self) -> int:
        """How many clients are remembered."""
        return len(self._whole_ns)

    def take(self, host: str) -> float:
        """Count one request of this client; return how many seconds too early it is, 0 if not."""
        client = find_client(host)
        now_ns = self._mono_ns()
        whole_ns = max(now_ns, self._whole_ns.get(client, 0)) + _EACH_NS
        early_ns = whole_ns - now_ns - BURST * _EACH_NS
        if early_ns > 0:
            return early_ns / 1e9
        self._whole_ns[client] = whole_ns
        self._whole_ns.move_to_end(client)
        if len(self._whole_ns) > CLIENTS_MAX:
            self._whole_ns.popitem(last=False)
        return 0.0


class RateLimit:
    """Lets requests for the API through while their client is not too fast."""

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        app = self._app
        if scope["path"].startswith(_PREFIX) and scope["path"] not in _FREE:
            early_s = self._limiter.take((scope.get("client") or ("", 0))[0])
            if early_s:
                app = make_problem(
                    429,
                    f"more than {RATE} requests a second; come back in {early_s:.2f} s",
                    headers={"retry-after": str(math.ceil(early_s))},
                )
        await app(scope, receive, send)


def find_client(host: str) -> str:
    """Return whom an address belongs to."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else address.exploded[:19]
    return host
