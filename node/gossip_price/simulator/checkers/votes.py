"""2. No honest member signs twice, nor what it must not; no round has two proven reports.

Holds across crashes, lost volumes and clock steps, as far as the design promises it: whoever
loses its volume has a clock within the skew (`docs/simulator.md`).
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Claim, Law, Moment, Told


class VotesChecker(Checker):
    """Knows every vote that was tried, every signature that was made, every one that was sent."""

    name = "votes"
    hears_of = frozenset({"epoch_known"})
    hears_words = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._claims: dict[bytes, Claim] = {}
        self._unexplained: dict[tuple[int, bytes], Moment] = {}
        #: (node, pair, round) → what it is bound to: ids, each with the proposer to whom it was
        #: bound alone; no bytes where the whole round was.
        self._bound: dict[tuple[int, str, int], dict[bytes, bytes]] = {}
        #: (pair, round) → id → who has signed it, by what was sent.
        self._signers: dict[tuple[str, int], dict[bytes, set[bytes]]] = {}
        self._highest: dict[int, int] = {}
        #: When each node's clock leaves its highest round, as far as known: nothing grows before.
        self._grows_s: dict[int, int] = {}
        #: The newest epoch that each node has said to know.
        self._known: dict[int, Law] = {}
        self._seen: dict[tuple[int, str, int], list[int]] = {}

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        if lost_volume:
            self._highest.pop(node, None)
            self._grows_s.pop(node, None)
            self._known.pop(node, None)
        self.alarms.set_wall(node, 0)

    def told(self, at: Moment, node: int, told: Told) -> None:
        law = self.law_by_epoch.get(told.id) if told.kind == "epoch_known" else None
        known = self._known.get(node)
        if law is not None and (known is None or law.start > known.start):
            self._known[node] = law

    def turned(self, at: Moment, node: int) -> None:
        wall_s = at.wall_ms // 1000
        law = self.get_law(wall_s) if wall_s >= self._grows_s.get(node, 0) else None
        if law is not None:
            start = wall_s - wall_s % law.interval
            self._highest[node] = max(self._highest.get(node, 0), start)
            self._grows_s[node] = start + law.interval
        self.alarms.set_wall(node, self._grows_s.get(node, 0) * 1000)

    def enacted(self, at: Moment, law: Law) -> None:
        super().enacted(at, law)
        for node in self._grows_s:
            self._grows_s[node] = 0
            self.alarms.set_wall(node, 0)

    def observed(self, at: Moment, node: int, pair: str, round_: int, price: int) -> None:
        self._seen.setdefault((node, pair, round_), []).append(price)

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        if self.evidence.compute_id(claim) != id_:
            self.blame(at, node, f"voted for {id_.hex()[:8]}, which is not its report's id")
        self._learn(self.evidence.compute_id(claim), claim)

    def signed(self, at: Moment, node: int, digest: bytes) -> None:
        if node in self.liars:
            return
        claim = self._claims.get(digest)
        if claim is None:
            # A heartbeat, a receipt, or a report that we shall see when it is sent.
            self._unexplained[node, digest] = at
        else:
            self._judge(at, node, digest, claim)

    def published(self, at: Moment, node: int, data: bytes) -> None:
        entries = self.evidence.read(data)
        for heard in entries:
            self._learn(heard.id, heard.claim)
            law = self.law_by_epoch.get(heard.claim.epoch)
            if law is None:
                continue
            claim = heard.claim
            signers = self._signers.setdefault((claim.pair, claim.round), {})
            signers.setdefault(heard.id, set()).update(heard.signers.intersection(law.addresses))
            proven = [
                i
                for i, who in signers.items()
                if len(who) >= self._get_quorum(i)
                and not self.is_left(self._get_law(i), claim.round)
            ]
            if len(proven) > 1 and not all(self._get_law(i).every_node for i in proven):
                self.blame(
                    at, node, f"two proven reports: {', '.join(i.hex()[:8] for i in proven)}",
                    pair=claim.pair, round_=claim.round,
                )  # fmt: skip
        if node in self.liars:
            return
        for heard in entries:
            unexplained = self._unexplained.pop((node, heard.id), None)
            if unexplained is not None:
                self._judge(unexplained, node, heard.id, heard.claim)

    def _get_quorum(self, id_: bytes) -> int:
        return self._get_law(id_).quorum

    def _get_law(self, id_: bytes) -> Law:
        return self.law_by_epoch[self._claims[id_].epoch]

    def _learn(self, id_: bytes, claim: Claim) -> None:
        self._claims.setdefault(id_, claim)

    def _find_in_force(self, node: int, round_: int) -> Law | None:
        """Return the epoch in force for a round, by what the node has said to know."""
        known = self._known.get(node)
        if known is None:
            return None
        heard_of = [law for law in self.laws if law.start <= known.start]
        return next((law for law in reversed(heard_of) if law.start <= round_), None)

    def _judge(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        law = self.law_by_epoch.get(claim.epoch)
        if law is None:
            self.blame(at, node, f"signed {id_.hex()[:8]} of an unknown epoch")
            return
        proposer = claim.proposer if law.every_node else b""
        bound = self._bound.setdefault((node, claim.pair, claim.round), {})
        # A round that was whole under one epoch's mode is so under the other's too.
        first = next(
            (
                other
                for other, whose in bound.items()
                if other != id_ and (not whose or not proposer or whose == proposer)
            ),
            None,
        )
        bound.setdefault(id_, proposer)

        def blame(text: str) -> None:
            self.blame(at, node, f"{text} ({id_.hex()[:8]})", pair=claim.pair, round_=claim.round)

        in_force = self._find_in_force(node, claim.round)
        if in_force is not None and law.start < in_force.start:
            blame("signed in an epoch that it knew not to be in force")
        if law.protocol not in self.setting.protocols[node]:
            blame(f"signed in an epoch of protocol {law.protocol}, which it does not know")
        if first is not None:
            blame(f"signed a second report beside {first.hex()[:8]}")
        if claim.round < self._highest.get(node, 0) - law.interval:
            blame("signed a report of a round that its clock had left long before")
        # Its own clock's time, at most the skew before the round begins or after it ends.
        wall_s = at.wall_ms // 1000
        if not claim.round - law.skew - 1 <= wall_s <= claim.round + law.interval + law.skew:
            blame("signed a report of a round that is not current")
        seen = self._seen.get((node, claim.pair, claim.round), [])
        allowed = law.max_deviation
        if not any(abs(claim.price - own) * 10_000 <= allowed * own for own in seen):
            blame(f"signed price {claim.price}, its own observations are {seen}")
