"""One simulated machine: clocks, volume, key and process. What happens to it is the world's."""

from __future__ import annotations

from collections.abc import Callable

from gossip_price import crypto
from gossip_price.core import events as ev
from gossip_price.engine import Turns
from gossip_price.network.document import PROTOCOLS_KNOWN
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator.clock import SimulatedClock
from gossip_price.simulator.disk import PowerCutError, SimulatedJournal
from gossip_price.simulator.scheme import REAL, Scheme


class SimulatedSigner:
    """A signing key in memory. `cut` (signatures from now) kills the process after that one."""

    def __init__(self, secret: bytes, scheme: Scheme = REAL) -> None:
        self.secret = secret
        self.address = crypto.get_address(secret)
        self.tell: Callable[[bytes], None] | None = None
        self.cut: int | None = None
        self._sign = scheme.sign

    def sign(self, digest: bytes) -> bytes:
        signature = self._sign(self.secret, digest)
        if self.tell is not None:
            self.tell(digest)
        if self.cut is not None:
            self.cut -= 1
            if self.cut < 0:
                self.cut = None
                raise PowerCutError
        return signature


class Node:
    """One machine with its clocks, volume, key and process."""

    def __init__(
        self,
        index: int,
        peer_id: str,
        *,
        chain: EpochChain,
        clock: SimulatedClock,
        journal: SimulatedJournal,
        signer: SimulatedSigner,
    ) -> None:
        self.index = index
        self.peer_id = peer_id
        self.chain = chain
        #: The protocol versions that its software knows.
        self.protocols = PROTOCOLS_KNOWN
        self.clock = clock
        self.journal = journal
        self.signer = signer
        self.turns: Turns
        self.alive = False
        self.life = 0
        #: Not None while the process is stopped (SIGSTOP): what came meanwhile.
        self.stopped: list[ev.Event] | None = None
        #: When its tick is on its way to it, and for which time of its machine; -1: none is.
        self.tick_ms = self.due_ms = -1
        self.spins = 0
        #: Writes on their way, of the present life.
        self.writes = 0
        #: Kill it after this many turns, before anything left.
        self.turns_left: int | None = None
        #: Kill it after this many outward effects.
        self.effects_left: int | None = None

    @property
    def clock_error_ms(self) -> int:
        """How far the wall clock is ahead."""
        return self.clock.error_ms

    @clock_error_ms.setter
    def clock_error_ms(self, error_ms: int) -> None:
        self.clock.error_ms = error_ms
