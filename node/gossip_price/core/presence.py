"""Who is there: the newest heartbeat of each member, and what we ourselves hear and see.

The clock here is our own pulse: who was not heard for so many of our beats is late. All members
beat much alike, seldom in quiet and often while a price lacks signers, so that nobody has to tell
how soon it will beat again; and while our process is stopped, nobody is held to be late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Final

from msgspec import Struct

from gossip_price.core.hearing import MemberPresence
from gossip_price.core.limits import HEARTBEAT_MISSED, HEARTBEAT_MS, HEARTBEAT_QUIET_MS
from gossip_price.core.testimony import (
    Seen,
    Testimony,
    decode_testimony,
    encode_connected,
    encode_heard,
    encode_observed,
    find_unchanged,
)
from gossip_price.core.types import Now
from gossip_price.core.wire import NO_STORE, Heartbeat
from gossip_price.network.document import Document

#: All members together send about this many heartbeats a second, and in quiet one in so long.
_BEATS_A_SECOND = 4
_QUIET_MS_A_MEMBER = 3_000


def compute_heartbeat_interval_ms(members: int) -> int:
    """Return how often a member beats: HEARTBEAT_MS, longer in a network of many."""
    return max(HEARTBEAT_MS, members * 1000 // _BEATS_A_SECOND)


def compute_quiet_interval_ms(members: int) -> int:
    """Return how often a member beats while no price is under way."""
    return max(HEARTBEAT_QUIET_MS, members * _QUIET_MS_A_MEMBER)


class _Known(Struct):
    """A member's newest heartbeat, and at which beat of ours it came.

    `stood` has the counts that had not grown since the one before, by index: at which beat they
    last did. All others have grown with this heartbeat.
    """

    heartbeat: Heartbeat
    document: Document
    received: Now
    beat: int
    stood: dict[int, int]

    def get_grown(self, index: int) -> int:
        """Return at which beat of ours this count last grew."""
        return self.stood.get(index, self.beat)

    @property
    def testimony(self) -> Testimony:
        """What it says of others: it was read when it was judged."""
        return decode_testimony(self.heartbeat, self.document)


class _Other(Struct):
    """A member's newest heartbeat, how many messages of it came since our start, and when.

    `beat` is the beat of ours at which the last came, `returned` that of the first after a gap, or
    of all.
    """

    newest: _Known | None = None
    messages: int = 0
    beat: int = 0
    returned: int = 0


_UNHEARD: Final = _Other()


class Presence:
    """The newest heartbeat of each member, by address, and our view. A replay changes nothing."""

    def __init__(self) -> None:
        self._others: dict[bytes, _Other] = {}
        self._seen: dict[str, Seen] = {}
        self._peers: frozenset[str] = frozenset()
        #: The same as our heartbeats carry it, and of which epoch's roster; None: not known yet.
        self._connected = b""
        self._connected_of: Document | None = None
        self._beat = 0
        self._counted_ms: int | None = None
        self._has_met_price = False
        #: Grows whenever what `describe` returns may have changed by more than counts and ages.
        self.changes = 0

    # --- what we hear and see ourselves -------------------------------------------------------

    def count_message(self, author: bytes) -> None:
        """A message came of which this member is the author, whatever is in it."""
        other = self._others.get(author) or self._meet(author)
        if not other.messages or self._beat - other.beat > HEARTBEAT_MISSED:
            other.returned = self._beat
        other.messages += 1
        other.beat = self._beat

    def _meet(self, address: bytes) -> _Other:
        other = self._others[address] = _Other()
        return other

    def process_peers(self, peers: frozenset[str]) -> None:
        """Take the peer ids of all live connections."""
        self.changes += 1
        self._peers, self._connected_of = peers, None

    def process_observation(self, seen: Seen) -> None:
        """Keep what we observed ourselves, of each pair the newest round."""
        known = self._seen.get(seen.pair)
        if known is None or seen.round >= known.round:
            self._seen[seen.pair] = seen

    def process_price(self) -> None:
        """A price is under way, for us and others alike; what an earlier life left is for us."""
        self._has_met_price = True

    def process_beat(self, members: int, mono_ms: int, *, is_quiet: bool) -> None:
        """We beat now. Others do as often, unless we had a reason of our own."""
        if is_quiet or not self._has_met_price:
            interval_ms = compute_quiet_interval_ms(members)
            if self._counted_ms is not None and mono_ms < self._counted_ms + interval_ms:
                return
        self._beat += 1
        self.changes += 1
        self._counted_ms = mono_ms

    def make_testimony(self, document: Document) -> tuple[bytes, bytes, bytes]:
        """Return `connected`, `heard` and `observed` of our next heartbeat, of this epoch."""
        if self._connected_of is not document:
            bits = sum(1 << index for index in self._list_connected(document))
            self._connected_of, self._connected = document, encode_connected(bits)
        counts = self._list_counts(document)
        observed = encode_observed(tuple(self._seen.values()), document)
        return self._connected, encode_heard(counts), observed

    def _list_connected(self, document: Document) -> list[int]:
        return [index for peer, index in document.index_by_peer.items() if peer in self._peers]

    def _list_counts(self, document: Document) -> list[int]:
        return [self._others.get(address, _UNHEARD).messages for address in document.addresses]

    # --- what others say ----------------------------------------------------------------------

    def process_heartbeat(self, heartbeat: Heartbeat, document: Document, now: Now) -> bool:
        """Take a checked heartbeat of this epoch; tell whether it is newer than what we had.

        Newer means a later boot, or the same boot and a higher sequence.
        """
        other = self._others.get(heartbeat.member) or self._meet(heartbeat.member)
        stood: dict[int, int] = {}
        if other.newest is not None:
            before = other.newest.heartbeat
            if heartbeat.boot == before.boot:
                if heartbeat.sequence <= before.sequence:
                    return False
                stood = _find_stood(other.newest, heartbeat, document)
            elif heartbeat.boot < before.boot:
                return False
        self.changes += 1
        other.newest = _Known(heartbeat, document, now, self._beat, stood)
        return True

    def get_writers(
        self,
        document: Document,
        store: bytes,
        mono_ms: int,
        among: Iterable[bytes],
    ) -> list[bytes]:
        """Return which of these members of `document` live and name `store`."""
        # Nobody can tell from outside whether another is quiet; a dead writer costs a step each.
        oldest = mono_ms - HEARTBEAT_MISSED * compute_quiet_interval_ms(len(document.members))
        return [
            address
            for address in among
            if (other := self._others.get(address)) is not None
            and (known := other.newest) is not None
            and known.received.mono_ms >= oldest
            and known.heartbeat.store == store
        ]

    def forget_all_but(self, members: frozenset[bytes], pairs: frozenset[str]) -> None:
        """Drop who is on no roster any more, and pairs that no epoch has."""
        for address in self._others.keys() - members:
            del self._others[address]
        for pair in self._seen.keys() - pairs:
            del self._seen[pair]

    def list_seen(self) -> Iterator[tuple[bytes, Seen]]:
        """Give the newest observations that others' heartbeats name, by address."""
        for address, other in self._others.items():
            if other.newest is not None:
                for seen in other.newest.testimony.observed:
                    yield address, seen

    # --- all together -------------------------------------------------------------------------

    def describe(self, document: Document, me: MemberPresence) -> tuple[MemberPresence, ...]:
        """Return what is known of each member of `document`, by index.

        `me` has what only we know of ourselves; the rest of it is filled in here.
        """
        return tuple(
            self._describe_me(document, me)
            if address == me.member
            else self._describe_other(address, len(document.members))
            for address in document.addresses
        )

    def _describe_me(self, document: Document, me: MemberPresence) -> MemberPresence:
        addresses = document.addresses
        others = [address for address in addresses if address != me.member]
        return MemberPresence(
            me.member,
            is_me=True,
            steady=self._beat,
            received=me.received,
            boot=me.boot,
            sequence=me.sequence,
            epoch=document.hash,
            version=me.version,
            store=me.store,
            clock_ms=me.clock_ms,
            connected=frozenset(addresses[index] for index in self._list_connected(document)),
            heard=dict(zip(addresses, self._list_counts(document), strict=True)),
            unheard={
                address: self._beat - self._others.get(address, _UNHEARD).beat for address in others
            },
            observed=tuple(self._seen.values()),
        )

    def _describe_other(self, address: bytes, members: int) -> MemberPresence:
        other = self._others.get(address, _UNHEARD)
        steady, known = self._beat - other.returned, other.newest
        if known is None:
            return MemberPresence(address, steady=steady)
        beat, testimony, addresses = known.heartbeat, known.testimony, known.document.addresses
        # Never heard in a long life is not heard, however short a time we have watched.
        lived = max(0, beat.clock_ms - beat.boot) // compute_quiet_interval_ms(members)
        connected = (bool(testimony.connected >> index & 1) for index in range(len(addresses)))
        heard = dict(zip(addresses, testimony.heard, strict=True))
        return MemberPresence(
            address,
            missed=self._beat - known.beat,
            steady=steady,
            received=known.received,
            boot=beat.boot,
            sequence=beat.sequence,
            epoch=beat.epoch,
            version=beat.version,
            store=None if beat.store == NO_STORE else beat.store,
            clock_ms=beat.clock_ms,
            connected=frozenset(compress(addresses, connected)),
            heard=heard,
            unheard={
                subject: max(known.beat - known.get_grown(index), 0 if count else lived)
                for index, (subject, count) in enumerate(heard.items())
                if subject != address
            },
            observed=testimony.observed,
        )


def _find_stood(before: _Known, heartbeat: Heartbeat, document: Document) -> dict[int, int]:
    """Return when the counts last grew that are as they were in the heartbeat before."""
    if before.document is document:
        unchanged = find_unchanged(before.heartbeat.heard, heartbeat.heard)
        # Its own count stands still for ever, and nobody reads it.
        own = document.index_by_address.get(heartbeat.member)
        if unchanged == (own,):
            return {}
        return {index: before.get_grown(index) for index in unchanged if index != own}
    # Another roster: a member that was not on it has grown just now.
    earlier, heard = before.testimony.heard, decode_testimony(heartbeat, document).heard
    places = before.document.index_by_address
    return {
        index: before.get_grown(place)
        for index, address in enumerate(document.addresses)
        if (place := places.get(address)) is not None and earlier[place] == heard[index]
    }
