"""One worker for each network: woken when it is dirty, by its own backoff, or to look again.

Knows when to look, and nothing of what is looked at. A network that is marked while it is looked
at is looked at once more; however often it is marked in between, that is once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gossip_price_operator.applying import Memory
from gossip_price_operator.kube import ConflictError, KubeError
from gossip_price_operator.reconcile import Outcome
from gossip_price_operator.turns import Network, Turn, Turns

log = logging.getLogger(__name__)

#: A whole look, API and nodes together; one that hangs longer is given up and begun anew.
LOOK_DEADLINE_S: Final = 120.0
#: Looks that read or write at once. Each holds a network's objects, half a megabyte as values.
TURNS: Final = 4
#: Looks that wait for nodes at once: a machine that died may have had nodes of many networks.
LENT_MAX: Final = 16
#: Events come in flocks: a changed Deployment changes three times in a moment.
GATHER_S: Final = 0.1
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 60.0
_JITTER: Final = 0.2
#: What is on its way and does not move is looked at ever less often, to the pace of those at rest.
_SLACKEN: Final = 1.5

Look = Callable[[str, str, Memory, Turn], Awaitable[Outcome]]


class Watcher(Protocol):
    """Is told of each look's end; must not block or raise."""

    def count_look(self, namespace: str, name: str, seconds: float, outcome: Outcome) -> None:
        """A look came to an end in so many seconds."""

    def count_error(self, namespace: str, name: str) -> None:
        """A look failed."""


@dataclass(frozen=True)
class Pace:
    """How often to look when nothing was marked: `settled_s` at rest, `moving_s` on the way.

    On the way that is the first pause; where nothing happens, each is half as long again.
    """

    settled_s: float = 60.0
    moving_s: float = 5.0


class Workers:
    """Keeps a worker for each known network while this operator is the active one."""

    def __init__(
        self,
        look: Look,
        pace: Pace,
        dice: Callable[[], float] = random.random,
        watcher: Watcher | None = None,
    ) -> None:
        self._look = look
        self._pace = pace
        self._watcher = watcher
        self._dice = dice
        self._news: set[Network] = set()
        self._turns = Turns(TURNS, LENT_MAX, self._news.__contains__)
        #: Every network that is known, in the order of their last looks.
        self._dirty: dict[Network, asyncio.Event] = {}
        self._tasks: dict[Network, asyncio.Task[None]] = {}
        self._is_active = False
        #: Since when each look is under way, by the loop's time; for the liveness probe.
        self._started_s: dict[Network, float] = {}

    def mark(self, namespace: str, name: str, *, is_news: bool = True) -> None:
        """Say that a network may have changed; it is looked at soon, or once we are active.

        What happened just now is news, and comes before what is only seen for the first time.
        """
        network = (namespace, name)
        if is_news:
            self._news.add(network)
        self._dirty.setdefault(network, asyncio.Event()).set()
        if self._is_active and network not in self._tasks:
            self._tasks[network] = asyncio.create_task(self._work(network), name=f"{network}")

    def start(self) -> None:
        """Become active: look at every network that is known, the longest unseen first.

        So each has its turn, even where the lease is lost again before all were looked at.
        """
        self._is_active = True
        for namespace, name in list(self._dirty):
            self.mark(namespace, name, is_news=False)

    async def stop(self) -> None:
        """Become passive: end every look at once. What is marked stays known."""
        self._is_active = False
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._started_s.clear()

    def find_stuck(self, now_s: float) -> str | None:
        """Return what does not come to an end, though everything has a deadline."""
        for network, started_s in self._started_s.items():
            if now_s - started_s > 2 * LOOK_DEADLINE_S:
                return f"{'/'.join(network)}: one look takes {now_s - started_s:.0f} s"
        return None

    async def _work(self, network: Network) -> None:
        memory, failures, unmoved = Memory(), 0, 0
        dirty = self._dirty[network]
        while True:
            try:
                outcome = await self._look_once(network, memory)
            except KubeError as error:
                failures += 1
                self._note_seen(network)
                self._tell_error(network)
                pause_s = self._compute_backoff(failures, error)
                log.warning("again in %.1f s: %s", pause_s, error, extra=_name(network))
                await asyncio.sleep(pause_s)
                continue
            except Exception:  # the supervising edge: one network's trouble is not another's
                failures += 1
                self._note_seen(network)
                self._tell_error(network)
                pause_s = self._compute_backoff(failures, None)
                log.exception("again in %.1f s", pause_s, extra=_name(network))
                await asyncio.sleep(pause_s)
                continue
            failures = 0
            self._note_seen(network)
            if not outcome.exists:
                if dirty.is_set():
                    continue
                del self._dirty[network], self._tasks[network]
                return
            try:
                async with asyncio.timeout(self._compute_pause(outcome, unmoved)):
                    await dirty.wait()
                unmoved = 0
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                unmoved += 1

    async def _look_once(self, network: Network, memory: Memory) -> Outcome:
        async with self._turns.take(network) as turn:
            dirty = self._dirty[network]
            dirty.clear()
            begun_s = self._started_s[network] = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(LOOK_DEADLINE_S):
                    outcome = await self._look(*network, memory, turn)
            except TimeoutError as error:
                raise KubeError("/".join(network), 0, "the look took too long") from error
            finally:
                self._started_s.pop(network, None)
                if not dirty.is_set():
                    self._news.discard(network)
            if self._watcher is not None:
                seconds = asyncio.get_running_loop().time() - begun_s
                self._watcher.count_look(*network, seconds, outcome)
            return outcome

    def _note_seen(self, network: Network) -> None:
        """Put it last in the order of those that a new start begins with."""
        self._dirty[network] = self._dirty.pop(network)

    def _tell_error(self, network: Network) -> None:
        if self._watcher is not None:
            self._watcher.count_error(*network)

    def _compute_pause(self, outcome: Outcome, unmoved: int) -> float:
        usual_s = self._pace.settled_s
        if not outcome.is_settled:
            usual_s = min(usual_s, self._pace.moving_s * _SLACKEN ** min(unmoved, 20))
        pause_s = min(usual_s, outcome.recheck_s if outcome.recheck_s is not None else usual_s)
        return max(GATHER_S, pause_s) * (1 + _JITTER * self._dice())

    def _compute_backoff(self, failures: int, error: KubeError | None) -> float:
        if isinstance(error, ConflictError) and failures == 1:
            return GATHER_S
        pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 10))
        asked_s = error.retry_s if error is not None and error.retry_s is not None else 0.0
        return max(pause_s, asked_s) * (1 + _JITTER * self._dice())


def _name(network: Network) -> dict[str, str]:
    return {"network": "/".join(network)}
