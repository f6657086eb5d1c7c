"""What the probes ask of a process: whether it makes progress, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gossip_price.adapters.clock import SystemClock
from gossip_price.adapters.libp2p import LibP2pTransport
from gossip_price.core.machine import Machine
from gossip_price.engine import Engine

#: The engine takes a turn at least at every heartbeat (5 s, 64 s at 256 members).
STALLED_S: Final = 150


class NodeHealth:
    """What the probes ask of a node: ready means joined, clock sane, journal writable."""

    def __init__(self, transport: LibP2pTransport, machine: Machine, engine: Engine) -> None:
        self._transport = transport
        self._machine = machine
        self._engine = engine
        self._clock = SystemClock()

    def find_live_problems(self) -> Mapping[str, str]:
        """Progress, not existence: the engine's last turn must not be long ago."""
        idle_s = (self._clock.now().mono_ms - self._engine.last_turn_ms) / 1000
        if idle_s > STALLED_S:
            return {"engine": f"no turn for {idle_s:.0f} s"}
        return {}

    def find_ready_problems(self) -> Mapping[str, str]:
        """Name what keeps this node from taking part. Postgres is not among it."""
        problems = {}
        if not self._transport.get_peers():
            problems["peers"] = "not connected to any peer; see GP_BOOTSTRAPADDR"
        clock = self._machine.find_clock_problem(self._clock.now())
        if clock is not None:
            problems["clock"] = clock
        protocol = self._machine.find_protocol_problem(self._clock.now())
        if protocol is not None:
            problems["protocol"] = protocol
        if self._machine.is_journal_failing:
            problems["journal"] = "the journal takes no records; see the log for the reason"
        return problems


class BootstrapHealth:
    """A bootstrap is alive and ready when it listens: it is there to be found."""

    def find_live_problems(self) -> Mapping[str, str]:
        """Nothing that this process could still tell."""
        return {}

    def find_ready_problems(self) -> Mapping[str, str]:
        """Listening is all there is to it; HTTP starts only after the transport."""
        return {}
