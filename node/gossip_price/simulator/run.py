"""One seed: the world of its plan, watched by all checkers, run to its end, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from traceback import format_exception
from typing import Final, NamedTuple, TypeVar

from gossip_price import crypto
from gossip_price.network.document import (
    PROTOCOL_VERSION,
    ZERO_HASH,
    Document,
    Member,
    Mode,
    PairTerms,
    compute_fallback_delay,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import compute_peer_id, format_address
from gossip_price.simulator.changes import Announcer
from gossip_price.simulator.checkers import Checker, Evidence, Setting, Violation, make_checkers
from gossip_price.simulator.checkers.bounds import BoundsChecker
from gossip_price.simulator.checkers.cost import CostChecker
from gossip_price.simulator.checkers.liveness import Counts, LivenessChecker
from gossip_price.simulator.database import Table
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.facts import Alarms, Digits, Law, Moment, Watcher
from gossip_price.simulator.faults import arrange
from gossip_price.simulator.history import History
from gossip_price.simulator.liars import Liar
from gossip_price.simulator.links import Links
from gossip_price.simulator.market import Market
from gossip_price.simulator.plan import SETTLE_S, START_MS, Options, Plan, make_plan
from gossip_price.simulator.scheme import REAL, Scheme, installed
from gossip_price.simulator.world import SpinError, World

_PAIR: Final = PairTerms("ETH-USD", 8, 1, 10**15)
_SKEW_S: Final = 5
#: After the last fault the world runs on until all checkers are content, at most this long: what
#: somebody vouched for falsely is written after an hour, what somebody changed in the table is
#: found by the hourly audit (docs/protocol.md, "Who writes", "The audit").
_CALM_MAX_MS: Final = 3_600_000 + 600_000
#: Looked for this often, and ever more seldom: after a tenth of what was waited already.
_LOOK_MS: Final = 5_000
_LOOK_PART: Final = 10
#: Nodes are looked into this often, and when the faults are over.
_INSPECT_MS: Final = 3_600_000


class Outcome(NamedTuple):
    """What came of a seed. `history` is the hash of all that happened."""

    plan: Plan
    history: str
    events: int
    violations: tuple[Violation, ...]
    liveness: Counts
    statements: int
    largest: dict[str, int]
    simulated_ms: int


_C = TypeVar("_C", bound=Checker)
MakeWorld = Callable[..., World]


def run_seed(seed: int, options: Options = Options()) -> Outcome:  # noqa: B008 # frozen
    """Run a seed's plan, as people fixed it."""
    return run_plan(make_plan(seed, options))


def run_plan(
    plan: Plan,
    *,
    scheme: Scheme = REAL,
    watchers: Sequence[Watcher] = (),
    make_world: MakeWorld = World,
    bug: AbstractContextManager[None] | None = None,
    hashed: bool = True,
) -> Outcome:
    """Run a plan to its end; more `watchers` may look on, a deliberate `bug` may be at work."""
    with bug or nullcontext(), installed(scheme):
        return _Run(plan, scheme, watchers, make_world, hashed=hashed).run()


class _Run:
    def __init__(
        self,
        plan: Plan,
        scheme: Scheme,
        watchers: Sequence[Watcher],
        make_world: MakeWorld,
        *,
        hashed: bool,
    ) -> None:
        self._plan = plan
        self._secrets, members = make_members(plan)
        self._peers = tuple(member.peer_id for member in members)
        chain = EpochChain([make_first(plan, members)])
        addresses = tuple(crypto.get_address(secret) for secret in self._secrets)
        liars = frozenset(liar.node for liar in plan.liars)
        law = make_law(chain.newest)
        self._protocols = tuple(
            frozenset({1}) if index in plan.dated else frozenset({1, 2})
            for index in range(plan.nodes)
        )
        alarms = Alarms()
        setting = Setting(
            Evidence(law.separator, scheme.recover), (law,), liars, self._peers, addresses,
            self._protocols, alarms=alarms,
        )  # fmt: skip
        self._checkers = make_checkers(setting)
        self._history = History()
        announcer = Announcer(
            plan.changes, members, chain,
            dice=Dice(plan.seed, "announcer"), until_ms=plan.calm_ms, make_law=make_law,
        )  # fmt: skip
        self._watchers = (
            *((self._history,) if hashed else ()), *watchers, *self._checkers, announcer
        )  # fmt: skip
        self._world = make_world(
            true_ms=plan.begin_ms,
            links=Links(
                Dice(plan.seed, "links"), latency_ms=plan.latency_ms, jitter_ms=plan.jitter_ms
            ),
            market=Market(Dice(plan.seed, "market"), fetch_ms=plan.fetch_ms),
            table=Table(),
            watchers=self._watchers,
            scheme=scheme,
            write_ms=(2, 5),
            alarms=alarms,
        )
        announcer.attach(self._world)
        self._fill(chain)

    def _fill(self, chain: EpochChain) -> None:
        plan, world = self._plan, self._world
        dice = Dice(plan.seed, "machines")
        for index, secret in enumerate(self._secrets):
            error_ms, drift_ppm = plan.clocks[index]
            node = world.add_node(
                secret,
                self._peers[index],
                chain=chain,
                birth_ms=plan.begin_ms - 3_600_000,
                error_ms=error_ms,
                drift_ppm=drift_ppm,
                mono_ms=dice.below(1 << 30),
            )
            node.protocols = self._protocols[index]
        for fault in plan.faults:
            arrange(world, fault, self._watchers)
        for liar in plan.liars:
            habits_dice = Dice(plan.seed, f"liar {liar.node}")
            Liar(world, liar.node, liar.habits, habits_dice, plan.calm_ms)
        for node in world.nodes:
            if node.index not in world.ears:
                world.begin(node.index)

    def run(self) -> Outcome:
        violations = []
        try:
            self._live()
        except SpinError as error:
            violations.append(Violation("spin", self._world.true_ms, -1, str(error)))
        except Exception as error:  # noqa: BLE001 # whatever a node raises has ended its process
            where = "".join(format_exception(error))
            violations.append(Violation("exception", self._world.true_ms, -1, where))
        moment = Moment(self._world.true_ms, self._world.true_ms, 0)
        for checker in self._checkers:
            checker.close(moment)
            violations += checker.violations
        return Outcome(
            self._plan,
            self._history.get_hash(),
            self._history.events,
            tuple(sorted(violations, key=lambda violation: violation.true_ms)),
            self._get(LivenessChecker).counts,
            self._get(CostChecker).statements,
            self._get(BoundsChecker).largest,
            self._world.true_ms - self._plan.begin_ms,
        )

    def _live(self) -> None:
        plan, world = self._plan, self._world
        next_ms = plan.begin_ms
        while next_ms < plan.calm_ms:
            next_ms = min(next_ms + _INSPECT_MS, plan.calm_ms)
            world.run_until_ms(next_ms)
            world.inspect()
        self._say_calm()
        # A round after the last fault, its settling, and what an outage's end takes.
        longest = max((plan.interval, *(change.interval for change in plan.changes)))
        world.run_until_ms(plan.calm_ms + (2 * longest + 2 * SETTLE_S + 30) * 1000)
        first_ms = world.true_ms
        self._look()
        while not all(checker.is_content() for checker in self._checkers):
            if world.true_ms >= plan.calm_ms + _CALM_MAX_MS:
                break
            waited_ms = world.true_ms - first_ms
            world.run_until_ms(world.true_ms + max(_LOOK_MS, waited_ms // _LOOK_PART))
            self._look()

    def _look(self) -> None:
        """Show the checkers what nodes remember, and then what stands in the tables."""
        self._world.inspect()
        self._world.server.show_table()

    def _say_calm(self) -> None:
        true_ms = self._world.true_ms
        for watcher in self._watchers:
            watcher.calmed(Moment(true_ms, true_ms, 0))

    def _get(self, kind: type[_C]) -> _C:
        return next(checker for checker in self._checkers if isinstance(checker, kind))


def make_members(plan: Plan) -> tuple[tuple[bytes, ...], tuple[Member, ...]]:
    """Return the nodes' secrets and what names them on a roster, in the order of addresses."""
    keys = sorted(
        (crypto.get_address(secret), secret, compute_peer_id(_make_secret("identity", number)))
        for number in range(plan.nodes)
        for secret in [_make_secret("signing", number)]
    )
    members = tuple(Member(format_address(address), peer) for address, _, peer in keys)
    return tuple(secret for _, secret, _ in keys), members


def make_first(plan: Plan, members: Sequence[Member]) -> Document:
    """Return the first epoch: the first nodes are its members."""
    faulty = compute_faulty_default(plan.members)
    return Document(
        protocol=PROTOCOL_VERSION,
        network_id="0x" + crypto.keccak256(b"simulated network").hex(),
        epoch=1,
        previous=ZERO_HASH,
        start=START_MS // 1000,
        interval=plan.interval,
        mode=plan.mode,
        minimum_signers=_compute_quorum(plan.mode, plan.members, faulty),
        faulty=faulty,
        fallback_delay=compute_fallback_delay(plan.interval),
        skew=_SKEW_S,
        settle=SETTLE_S,
        settle_cap=plan.settle_cap,
        max_deviation=100,
        pairs=(_PAIR,),
        members=tuple(members[: plan.members]),
    )


def _compute_quorum(mode: Mode, members: int, faulty: int) -> int:
    return min(members, compute_minimum_signers(mode, members, faulty))


def make_law(document: Document) -> Law:
    """Return a document as checkers see it."""
    return Law(
        epoch=document.hash,
        separator=document.separator,
        start=document.start,
        interval=document.interval,
        every_node=document.mode is Mode.EVERY_NODE,
        quorum=document.minimum_signers,
        faulty=document.faulty,
        fallback_delay=document.fallback_delay,
        skew=document.skew,
        settle=document.settle,
        settle_cap=document.settle_cap,
        max_deviation=document.max_deviation,
        pairs=tuple(terms.pair for terms in document.pairs),
        digits={
            terms.pair: Digits(terms.decimals, terms.min_price, terms.max_price)
            for terms in document.pairs
        },
        addresses=document.addresses,
        peers=tuple(member.peer_id for member in document.members),
        protocol=document.protocol,
    )


def _make_secret(use: str, number: int) -> bytes:
    return crypto.keccak256(f"gossip-price simulated key {use} {number}".encode())
