"""4. Settled means settled: a silent settle time after the last new signer, or the cap, no later.

By the node's own monotonic clock. What is written too early is told by what reached the writer.
Each node's settlements are due `settle` after the last new signer, or `settleCap` after the node
gave the report to its journal as proven, whichever is first (docs/protocol.md, "Proven, settled,
stored"): that is exact whatever a liar sent beside it, or the node was not ready to take. What a
node says of new signers counts as far as the wire has brought as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, TypeVar

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.checkers.evidence import Heard
from gossip_price.simulator.facts import Claim, Law, Moment, Row, Signed, Told

#: Ids remembered for each node; older ones have settled long ago.
_REMEMBERED: Final = 2_048
#: What a node that is not disturbed has not settled after another minute of turns never settles.
_NEVER_MS: Final = 60_000
#: A time that does not come.
_NO_TIME_MS: Final = 1 << 62
#: Disturbances that stop no process.
_OUTSIDE: Final = frozenset({"network", "database"})


_T = TypeVar("_T")


class _Known:
    """When each signer of a report was first known at a node, by its monotonic clock.

    `bits` are the same signers, by the places that the evidence gives them: most of what comes is
    old.
    """

    __slots__ = ("bits", "first_ms")

    def __init__(self, bits: int, first_ms: dict[bytes, int]) -> None:
        self.bits = bits
        self.first_ms = first_ms


_UNKNOWN: Final = _Known(0, {})


class _Awaited:
    """A report that a node has proven and not settled yet, by the node's monotonic clock.

    `due_ms` is when it settles if nobody else signs.
    """

    __slots__ = ("due_ms", "is_known", "law", "look_ms", "passed", "proven_ms", "signers")

    def __init__(self, law: Law, proven_ms: int, signers: int, *, is_known: bool) -> None:
        self.law = law
        self.proven_ms = proven_ms
        self.signers = signers
        #: An earlier life had proven it, and may have settled and stored it.
        self.is_known = is_known
        #: Turns that were taken since it was due.
        self.passed = 0
        #: When it will never be settled, if it is not by then.
        self.look_ms = _NO_TIME_MS
        self.put_off(proven_ms)

    def put_off(self, last_ms: int) -> None:
        """Somebody has signed then."""
        settle_ms, cap_ms = self.law.settle * 1000, self.law.settle_cap * 1000
        self.due_ms = min(last_ms + settle_ms, self.proven_ms + cap_ms)


class SettlingChecker(Checker):
    """Knows when each signer of each report first reached each node in its present life."""

    name = "settling"
    hears_of = frozenset({"proven", "cosigned", "settled"})
    hears_words = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        #: Node → id → its signers.
        self._known: dict[int, dict[bytes, _Known]] = {}
        #: What stood in the table once has settled: the audit may put it back at any time.
        self._stored: set[bytes] = set()
        #: What had settled at a node in an earlier life, whose journal it has: likewise.
        self._settled: dict[int, set[bytes]] = {}
        self._law_by_id: dict[bytes, Law] = {}
        #: By node, what its present life has proven and not settled, and when the next is due.
        self._awaited: dict[int, dict[bytes, _Awaited]] = {}
        self._due_ms: dict[int, int] = {}
        #: What a node has ever given to the journal that it has, and settled in its present life.
        self._kept: dict[int, dict[bytes, Law]] = {}
        self._done: dict[int, set[bytes]] = {}
        #: The first turn of its present life, or None before: what it remembers waits from then.
        self._began_ms: dict[int, int | None] = {}
        self._disturbances: list[tuple[int, int, frozenset[int]]] = []

    def disturbed(self, start_ms: int, end_ms: int, kind: str, nodes: tuple[int, ...]) -> None:
        if kind not in _OUTSIDE:
            touched = frozenset(nodes or range(len(self.setting.peers)))
            self._disturbances.append((start_ms, end_ms, touched))

    def ended(self, at: Moment, node: int) -> None:
        settled = self._settled.setdefault(node, set())
        for id_, known in self._known.get(node, {}).items():
            law = self._law_by_id.get(id_)
            if law is not None and len(known.first_ms) >= law.quorum:
                times = sorted(known.first_ms.values())
                if at.mono_ms >= _compute_settled_ms(times, law):
                    settled.add(id_)

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        if lost_volume:
            self._settled.pop(node, None)
            self._kept.pop(node, None)
        self._awaited[node] = {}
        self._done[node] = set()
        self._began_ms[node] = None
        self._expect(node, 0)
        kept = {} if lost_volume else self._known.get(node, {})
        # What an earlier life knew may have come from its journal, at this life's start.
        self._known[node] = {
            id_: _Known(known.bits, dict.fromkeys(known.first_ms, at.mono_ms))
            for id_, known in kept.items()
        }

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        ids = self._known[node]
        for heard in self.evidence.read(data):
            if not heard.bits & ~ids.get(heard.id, _UNKNOWN).bits:
                continue
            law = self.law_by_epoch.get(heard.claim.epoch)
            if law is not None and _is_stale(at, heard, law):
                continue  # nobody takes in the latecomer of a message like that
            self._learn(at, node, heard.id, heard.bits, law)

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        # Its own signature is made in this turn, or later when the disk fails.
        own = self.evidence.compute_bits((self.setting.addresses[node],))
        self._learn(at, node, id_, own, self.law_by_epoch.get(claim.epoch))

    def _learn(self, at: Moment, node: int, id_: bytes, signers: int, law: Law | None) -> None:
        known = self._known[node].get(id_)
        if known is None:
            known = self._known[node][id_] = _Known(0, {})
            _forget_oldest(self._known[node])
            if law is not None:
                self._law_by_id[id_] = law
                _forget_oldest(self._law_by_id)
        for signer in self.evidence.list_signers(signers & ~known.bits):
            known.first_ms[signer] = at.mono_ms
        known.bits |= signers

    def _find_first_ms(self, node: int, id_: bytes) -> Mapping[bytes, int]:
        return self._known[node].get(id_, _UNKNOWN).first_ms

    # --- not too late -------------------------------------------------------------------------

    def kept(self, at: Moment, node: int, id_: bytes, claim: Claim, signatures: Signed) -> None:
        law, ever = self.law_by_epoch.get(claim.epoch), self._kept.setdefault(node, {})
        if law is None or self._find(node, id_, len(signatures)) is not None:
            return
        if id_ not in self._done[node]:
            ever[id_] = law
            one = _Awaited(law, at.mono_ms, len(signatures), is_known=False)
            self._awaited[node][id_] = one
            self._expect(node, one.due_ms)

    def told(self, at: Moment, node: int, told: Told) -> None:
        is_news = told.kind == "cosigned"
        one = self._find(node, told.id, told.signers - is_news)
        if one is None:
            return
        if told.kind == "settled":
            del self._awaited[node][told.id]
            self._done[node].add(told.id)
            self._judge(at, node, told, one)
        elif told.kind == "proven":
            # If an earlier life had proven it already, the disk has lost that.
            one.proven_ms, one.is_known = at.mono_ms, False
            self._put_off(at, node, one)
        elif one.signers < told.signers <= len(self._find_first_ms(node, told.id)):
            one.signers = told.signers
            self._put_off(at, node, one)

    def _find(self, node: int, id_: bytes, signers: int) -> _Awaited | None:
        """Return what the node is to settle; None if it has, or has not proven it.

        What an earlier life had proven waits anew from the beginning of this one, when it had
        as many signers as it has until now.
        """
        awaited = self._awaited[node]
        if id_ in awaited:
            return awaited[id_]
        law, began_ms = self._kept.get(node, {}).get(id_), self._began_ms[node]
        if law is None or began_ms is None or id_ in self._done[node]:
            return None
        one = awaited[id_] = _Awaited(law, began_ms, signers, is_known=True)
        return one

    def _put_off(self, at: Moment, node: int, one: _Awaited) -> None:
        """Take in that somebody has signed now."""
        one.put_off(at.mono_ms)
        if at.mono_ms < one.due_ms:
            # A turn that is late may find the new signer before it finds that it was due.
            one.passed = 0
            self._expect(node, one.due_ms)

    def _expect(self, node: int, due_ms: int) -> None:
        """Something is due then, besides what was awaited before."""
        self._due_ms[node] = min(self._due_ms.get(node, due_ms), due_ms)
        self.alarms.set_mono(node, due_ms)

    def _judge(self, at: Moment, node: int, told: Told, one: _Awaited) -> None:
        """Judge when a report settles: in the first turn at which it is due, and no sooner."""
        late_ms = at.mono_ms - one.due_ms
        is_late = late_ms > self.setting.lateness_ms and not self._is_disturbed(at, node, late_ms)
        if one.passed > 1 or is_late:
            self._blame_settled(at, node, told, f"{late_ms} ms too late")
        elif late_ms < 0 and not one.is_known:
            self._blame_settled(at, node, told, f"{-late_ms} ms too early")

    def _blame_settled(self, at: Moment, node: int, told: Told, how: str) -> None:
        text = f"settled {told.id.hex()[:8]} {how}"
        self.blame(at, node, text, pair=told.pair, round_=told.round)

    def turned(self, at: Moment, node: int) -> None:
        if at.mono_ms >= self._due_ms[node]:
            self._look(at, node)
        self.alarms.set_mono(node, self._due_ms[node])

    def _look(self, at: Moment, node: int) -> None:
        """Count a turn for what is due, and find what is never settled."""
        mono_ms, next_ms = at.mono_ms, _NO_TIME_MS
        if self._began_ms[node] is None:
            self._began_ms[node] = mono_ms
        for id_, one in list(self._awaited[node].items()):
            if mono_ms < one.due_ms:
                next_ms = min(next_ms, one.due_ms)
                continue
            one.passed += 1
            if one.passed == 1:
                one.look_ms = mono_ms + _NEVER_MS
                next_ms = mono_ms
            elif one.is_known:
                continue  # settled in an earlier life, most likely
            elif mono_ms < one.look_ms:
                next_ms = min(next_ms, one.look_ms)
            elif self._is_disturbed(at, node, _NEVER_MS):
                one.look_ms = mono_ms + _NEVER_MS
                next_ms = min(next_ms, one.look_ms)
            else:
                del self._awaited[node][id_]
                self._done[node].add(id_)
                since_ms = mono_ms - one.due_ms
                self.blame(at, node, f"has not settled {id_.hex()[:8]}, due {since_ms} ms ago")
        self._due_ms[node] = next_ms

    def _is_disturbed(self, at: Moment, node: int, ago_ms: int) -> bool:
        """Tell whether a process was disturbed within these milliseconds."""
        begin_ms = at.true_ms - ago_ms
        return any(
            node in nodes and start_ms <= at.true_ms and end_ms >= begin_ms
            for start_ms, end_ms, nodes in self._disturbances
        )

    # --- not too early ------------------------------------------------------------------------

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        self._stored.update(row.id for row in rows)

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            law = self.law_by_epoch.get(row.claim.epoch)
            if law is None or row.id in self._stored or row.id in self._settled.get(node, ()):
                continue
            known = self._find_first_ms(node, row.id)
            times = sorted(known[signer] for signer, _ in row.signatures if signer in known)
            if len(times) < law.quorum:
                continue  # older than we remember, or the proof's checker says it
            settled_ms = _compute_settled_ms(times, law)
            if at.mono_ms < settled_ms:
                self.blame(
                    at, node, f"wrote {row.id.hex()[:8]} {settled_ms - at.mono_ms} ms too early",
                    pair=row.claim.pair, round_=row.claim.round,
                )  # fmt: skip

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        # What stands in a false row's place is a row as well.
        for id_ in put:
            law = self._law_by_id.get(id_)
            times = sorted(self._find_first_ms(node, id_).values())
            is_known = id_ in self._stored or id_ in self._settled.get(node, ())
            if law is None or is_known or len(times) < law.quorum:
                continue
            settled_ms = _compute_settled_ms(times, law)
            if at.mono_ms < settled_ms:
                early_ms = settled_ms - at.mono_ms
                self.blame(at, node, f"put {id_.hex()[:8]} in its place {early_ms} ms too early")


def _forget_oldest(ids: dict[bytes, _T]) -> None:
    if len(ids) > _REMEMBERED:
        del ids[next(iter(ids))]


def _is_stale(at: Moment, heard: Heard, law: Law) -> bool:
    """Tell whether a report is too old to be signed, and comes without a proof."""
    over_s = heard.claim.round + law.interval + law.skew
    return at.wall_ms >= over_s * 1000 and len(heard.signers) < law.quorum


def _compute_settled_ms(times: list[int], law: Law) -> int:
    """Return when a report settles whose signers, a quorum at least, came at these times.

    The first silence counts: who comes after it is late, and unsettles nothing.
    """
    cap_ms = times[law.quorum - 1] + law.settle_cap * 1000
    for last_ms, next_ms in pairwise(times[law.quorum - 1 :]):
        if next_ms > last_ms + law.settle * 1000:
            return min(last_ms + law.settle * 1000, cap_ms)
    return min(times[-1] + law.settle * 1000, cap_ms)
