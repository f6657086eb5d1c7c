"""Byzantine members: they hold their own keys, hear everything, and say what they like.

A liar takes the place of a machine. Each has some habits; none can do what a key that it has not
would be needed for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gossip_price.core import events as ev
from gossip_price.core.limits import OPEN_IDS_MAX
from gossip_price.core.questions import encode_answer
from gossip_price.core.rounds import get_rank_time_ms, order_proposers
from gossip_price.core.testimony import encode_connected, encode_heard
from gossip_price.core.types import Entry, Report, Signature
from gossip_price.core.wire import (
    WIRE_VERSION,
    Envelope,
    Heartbeat,
    Receipt,
    WireError,
    encode_open,
)
from gossip_price.core.wire import decode as decode_wire
from gossip_price.core.wire import encode as encode_wire
from gossip_price.crypto import compute_domain_separator
from gossip_price.network.document import Document
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.lying_trees import LyingTrees
from gossip_price.simulator.world import World

#: What a liar may make a habit of; see the method of the same name.
HABITS: Final = (
    "equivocate",
    "sign_anything",
    "withhold",
    "sign_late",
    "replay",
    "receipts",
    "flood",
    "forge",
    "malleate",
    "impersonate",
    "trees",
    "outstay",
    "overstate",
)
#: A heartbeat of a liar that overstates names up to this many reports that there are, and that
#: there are not; now and then as many as fit.
_OVERSTATED_MAX: Final = 8
_INVENTED_MAX: Final = 3
_UNSIGNED: Final = bytes(65)
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_REMEMBERED: Final = 64
#: Rounds of this length and more leave time to come back to one that is closed.
_LONG_S: Final = 300


class Liar:
    """One lying member at the place of node `index`, with these habits, until `end_ms`."""

    def __init__(
        self, world: World, index: int, habits: Sequence[str], dice: Dice, end_ms: int
    ) -> None:
        self._world = world
        self._index = index
        self._habits = frozenset(habits)
        self._dice = dice
        self._end_ms = end_ms
        self._node = world.nodes[index]
        self._me = self._node.signer.address
        self._entries: dict[bytes, Entry] = {}
        self._old: list[bytes] = []
        self._sequence = 0
        world.ears[index] = self.hear
        self._trees = LyingTrees(world, index, dice) if "trees" in self._habits else None
        if self._trees is None and "overstate" in self._habits:
            world.streams.mouths[index] = self._break_promise
        world.schedule(dice.below(3_000), self._tick)

    # --- what it hears ------------------------------------------------------------------------

    def hear(self, author: str, data: bytes) -> None:
        """Take a message that somebody sent."""
        if self._world.true_ms >= self._end_ms:
            return
        try:
            envelope = decode_wire(data)
        except WireError:
            return
        if len(self._old) < _REMEMBERED and self._dice.chance(100):
            self._old.append(data)
        for entry in envelope.entries:
            document = self._node.chain.find(entry.report.epoch)
            if document is None:
                continue
            id_ = entry.report.compute_id(document.separator)
            is_new = id_ not in self._entries
            self._entries[id_] = entry
            if len(self._entries) > _REMEMBERED:
                del self._entries[next(iter(self._entries))]
            if is_new:
                self._answer(id_, document)

    def _answer(self, id_: bytes, document: Document) -> None:
        dice = self._dice
        if "sign_anything" in self._habits:
            self._later(dice.below(2_000), lambda: self._sign(id_, document))
        if "sign_late" in self._habits:
            late_ms = document.settle * 1000 - dice.below(4_000)
            if document.interval >= _LONG_S and dice.chance(300):
                # When the round is closed long ago, and to a few: the trees must tell the others.
                late_ms += (document.interval + document.settle_cap + 600) * 1000
            self._later(late_ms, lambda: self._sign(id_, document))
        if "receipts" in self._habits and dice.chance(700):
            self._later(dice.below(40_000), lambda: self._vouch((id_,), document))
        if "malleate" in self._habits and dice.chance(500):
            self._later(0, lambda: self._malleate(id_))
        if "impersonate" in self._habits:
            self._later(dice.below(500), lambda: self._impersonate(id_, document))
        if "forge" in self._habits and dice.chance(100):
            self._later(dice.below(1_000), lambda: self._forge(id_, document))

    def _find_last(self) -> Document | None:
        """Return the last epoch that has begun in which it was a member, left for good or not."""
        unix_s = self._world.true_ms // 1000
        mine = (d for d in self._node.chain.documents if self._me in d.index_by_address)
        return max((d for d in mine if d.start <= unix_s), key=lambda d: d.start, default=None)

    # --- what it does by itself ---------------------------------------------------------------

    def _tick(self) -> None:
        world, dice = self._world, self._dice
        if world.true_ms >= self._end_ms:
            return
        unix_s = world.true_ms // 1000
        document = self._node.chain.get_in_force(unix_s)
        if "outstay" in self._habits:
            document = self._find_last() or document
        if document is not None and self._me in document.index_by_address:
            self._beat(document)
            round_ = document.get_round(unix_s)
            for terms in document.pairs:
                self._lead(document, terms.pair, round_ + document.interval)
            if "replay" in self._habits:
                self._replay(document)
            if "flood" in self._habits and dice.chance(300):
                self._flood(document, round_)
        interval = document.interval if document is not None else 15
        world.schedule(interval * 1000, self._tick)

    def _lead(self, document: Document, pair: str, round_: int) -> None:
        """Propose when its turn has come: two reports, one to a few, or an honest one."""
        rank = order_proposers(document, pair, round_).index(self._me)
        at_ms = get_rank_time_ms(document, round_, rank) + 20 + self._dice.below(1_000)
        if rank and not self._dice.chance(300):
            return
        delay_ms = max(0, at_ms - self._world.true_ms)
        if "equivocate" in self._habits:
            self._later(delay_ms, lambda: self._equivocate(document, pair, round_))
        elif "withhold" in self._habits:
            self._later(delay_ms, lambda: self._withhold(document, pair, round_))
        elif "flood" not in self._habits:
            self._later(delay_ms, lambda: self._propose(document, pair, round_, 0, None))

    def _equivocate(self, document: Document, pair: str, round_: int) -> None:
        """Tell each part of the members another price."""
        everybody = [i for i in range(len(self._world.nodes)) if i != self._index]
        some = self._dice.sample(everybody, self._dice.between(1, len(everybody)))
        others = [i for i in everybody if i not in some] or everybody
        self._propose(document, pair, round_, 0, some)
        self._propose(document, pair, round_, 1, others)

    def _withhold(self, document: Document, pair: str, round_: int) -> None:
        """Propose to one member only."""
        everybody = [i for i in range(len(self._world.nodes)) if i != self._index]
        self._propose(document, pair, round_, 0, [self._dice.pick(everybody)])

    def _replay(self, document: Document) -> None:
        """Say again what others said, and propose for rounds that are long over."""
        if self._old:
            self._send(self._dice.pick(self._old))
        back = self._dice.between(1, 6) * document.interval
        round_ = document.get_round(self._world.true_ms // 1000) - back
        if round_ >= document.start:
            self._propose(document, document.pairs[0].pair, round_, 2, None)

    def _flood(self, document: Document, round_: int) -> None:
        """Many reports of one round, and bytes that are nothing."""
        for number in range(self._dice.between(2, 12)):
            self._propose(document, document.pairs[0].pair, round_, number, None)
        if self._dice.chance(100):
            self._send(bytes(self._dice.below(256) for _ in range(self._dice.below(40))))

    # --- how it says it -----------------------------------------------------------------------

    def _make_report(self, document: Document, pair: str, round_: int, variant: int) -> Report:
        price = self._world.market.get_price(pair, round_)
        terms = document.terms_by_pair[pair]
        shaded = price * (10_000 + self._dice.between(-60, 60)) // 10_000 + variant
        observed_at = round_ + self._dice.below(min(3, document.interval))
        return Report(document.hash, pair, round_, shaded, terms.decimals, observed_at, self._me)

    def _propose(
        self,
        document: Document,
        pair: str,
        round_: int,
        variant: int,
        to: Sequence[int] | None,
    ) -> None:
        report = self._make_report(document, pair, round_, variant)
        id_ = report.compute_id(document.separator)
        entry = Entry(report, (self._make_signature(id_, document),))
        self._entries[id_] = entry
        self._send(_pack(entry), to)

    def _sign(self, id_: bytes, document: Document) -> None:
        """Sign whatever there is, beside what it has signed before."""
        entry = self._entries.get(id_)
        if entry is None or self._me not in document.index_by_address:
            return
        own = self._make_signature(id_, document)
        if all(signature.member != own.member for signature in entry.signatures):
            entry = msgspec.structs.replace(entry, signatures=(*entry.signatures, own))
            everybody = [i for i in range(len(self._world.nodes)) if i != self._index]
            whole = self._dice.chance(500)
            to = None if whole else self._dice.sample(everybody, self._dice.between(1, 3))
            self._send(_pack(entry), to)

    def _vouch(self, ids: tuple[bytes, ...], document: Document) -> None:
        """Say that it has stored what it has not."""
        receipt = Receipt(self._me, self._world.server.store, self._world.true_ms, ids, _UNSIGNED)
        signature = self._sign_digest(receipt.compute_digest(document.separator))
        word = msgspec.structs.replace(receipt, signature=signature)
        self._send(encode_wire(Envelope(WIRE_VERSION, (), (word,))))

    def _beat(self, document: Document) -> None:
        """Be seen alive, so that others wait for it to write."""
        self._sequence += 1
        # That it hears everybody or nobody, by turns, and is connected to all of them.
        members = len(document.members)
        heard = encode_heard([self._sequence % 2 * 2**32] * members)
        connected = encode_connected((1 << members) - 1)
        beat = Heartbeat(
            self._me, 1, self._sequence, document.hash, max(0, self._world.true_ms),
            self._world.server.store, "liar", connected, heard, b"",
            self._make_open(document), self._make_roots(document), _UNSIGNED,
        )  # fmt: skip
        signature = self._sign_digest(beat.compute_digest(document.separator))
        word = msgspec.structs.replace(beat, signature=signature)
        self._send(encode_wire(Envelope(WIRE_VERSION, (), (), (word,))))
        # What it makes a habit of naming, it names again in between.
        if self._sequence % 8 and not self._habits.isdisjoint(("trees", "overstate")):
            self._later(10_000, lambda: self._beat(document))

    def _make_open(self, document: Document) -> bytes:
        """Name signatures that it does not have: everybody's, and of reports that there are not.

        Without the habit it names nothing, as if it lacked all that there is.
        """
        if "overstate" not in self._habits:
            return b""
        dice, everybody = self._dice, (1 << len(document.members)) - 1
        known = list(self._entries)[-dice.between(1, _OVERSTATED_MAX) :]
        invented = OPEN_IDS_MAX - len(known) if dice.chance(50) else dice.below(_INVENTED_MAX + 1)
        named = dict.fromkeys(known, everybody)
        for _ in range(invented):
            id_ = b"".join(dice.below(1 << 32).to_bytes(4, "big") for _ in range(8))
            named[id_] = 1 + dice.below(everybody)
        return encode_open(named.items())

    def _break_promise(self, peer: str, token: int, data: bytes) -> None:
        """Be silent, refuse, give nothing, or give what it has: less than it named, or unasked."""
        del peer, data
        has = list(self._entries.values())[-2:]
        answer = self._dice.pick((None, None, b"", encode_answer(()), encode_answer(has)))
        if answer is not None:
            self._world.streams.answer(self._node, ev.Answer(token, answer))

    def _make_roots(self, document: Document) -> bytes:
        """Name roots, if it makes a habit of it."""
        if self._trees is None:
            return b""
        return self._trees.make_roots(document, self._entries)

    def _malleate(self, id_: bytes) -> None:
        """Spell somebody's signature the other way, with a high s."""
        entry = self._entries.get(id_)
        if entry is not None:
            spelled = tuple(Signature(one.member, _flip(one.signature)) for one in entry.signatures)
            self._send(_pack(msgspec.structs.replace(entry, signatures=spelled)))

    def _impersonate(self, id_: bytes, document: Document) -> None:
        """Put its own signature under another member's name."""
        entry = self._entries.get(id_)
        if entry is None:
            return
        signed = {signature.member for signature in entry.signatures}
        others = [i for i in range(len(document.members)) if i not in signed]
        if others:
            fake = Signature(self._dice.pick(others), self._sign_digest(id_))
            forged = msgspec.structs.replace(entry, signatures=(*entry.signatures, fake))
            self._send(_pack(forged))

    def _forge(self, id_: bytes, document: Document) -> None:
        """Say something that no honest member can have said."""
        entry = self._entries.get(id_)
        if entry is None:
            return
        report = entry.report
        forged = self._dice.pick(
            (
                msgspec.structs.replace(report, price=report.price + 1),
                msgspec.structs.replace(report, decimals=report.decimals - 1),
                msgspec.structs.replace(report, epoch=bytes(31) + b"1"),
                msgspec.structs.replace(report, round=report.round + 1),
                msgspec.structs.replace(report, proposer=bytes(20)),
            )
        )
        foreign = compute_domain_separator("gossip-price", "1", bytes(32))
        stranger = Signature(0, self._sign_digest(forged.compute_id(foreign)))
        self._send(_pack(Entry(forged, self._dice.pick((entry.signatures, (stranger,))))))

    def _make_signature(self, id_: bytes, document: Document) -> Signature:
        return Signature(document.index_by_address[self._me], self._sign_digest(id_))

    def _sign_digest(self, digest: bytes) -> bytes:
        return self._world.scheme.sign(self._node.signer.secret, digest)

    def _send(self, data: bytes, to: Sequence[int] | None = None) -> None:
        self._world.send(self._index, data, to)

    def _later(self, delay_ms: int, act: Callable[[], None]) -> None:
        def act_unless_over() -> None:
            if self._world.true_ms < self._end_ms:
                act()

        self._world.schedule(delay_ms, act_unless_over)


def _pack(*entries: Entry) -> bytes:
    return encode_wire(Envelope(WIRE_VERSION, entries))


def _flip(signature: bytes) -> bytes:
    s = _ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
