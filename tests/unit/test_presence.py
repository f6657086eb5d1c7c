"""Who is there, as one node puts it together: message by message, beat by beat."""

from __future__ import annotations

import pytest

from crafted import make_heartbeat
from gossip_price.core.hearing import MemberPresence
from gossip_price.core.limits import HEARTBEAT_MISSED
from gossip_price.core.presence import Presence
from gossip_price.core.testimony import encode_heard
from gossip_price.core.types import Now
from networks import PAIR, SampleNetwork, make_network

NETWORK = make_network(4)
#: Another member stands before some of the four.
FIVE = NETWORK.follow(start_index=4, members=5)
ME, OTHER, THIRD, FOURTH = NETWORK.document.addresses
PAIRS = frozenset({PAIR})


class Pulse:
    """Our presence, which beats when it is told to."""

    def __init__(self) -> None:
        self.presence = Presence()
        self.presence.process_price()
        self._beats = 0

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self._beats += 1
            self.presence.process_beat(4, self._beats * 5_000, is_quiet=False)

    def hear(
        self,
        counts: list[int],
        sequence: int,
        *,
        boot: int = 1,
        member: bytes = OTHER,
        network: SampleNetwork = NETWORK,
    ) -> bool:
        """Take a heartbeat of a member that has heard so much of each."""
        document = network.document
        index = document.index_by_address[member]
        word = make_heartbeat(
            network, index, boot=boot, sequence=sequence, heard=encode_heard(counts)
        )
        return self.presence.process_heartbeat(word, document, Now(self._beats, self._beats))

    def describe(self, member: bytes = OTHER, network: SampleNetwork = NETWORK) -> MemberPresence:
        ours = MemberPresence(ME, received=Now(0, 0))
        presences = self.presence.describe(network.document, ours)
        return next(one for one in presences if one.member == member)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


def test_who_never_came_is_awaited_since_our_start(pulse: Pulse) -> None:
    pulse.beat(2)
    assert pulse.describe().steady == 2
    assert pulse.describe(ME).unheard[OTHER] == 2


def test_who_comes_late_is_steady_since_its_first_message(pulse: Pulse) -> None:
    """However soon after our start that is."""
    pulse.beat(2)
    pulse.presence.count_message(OTHER)
    pulse.beat()
    assert pulse.describe().steady == 1
    assert pulse.describe(ME).unheard[OTHER] == 1


@pytest.mark.parametrize("gap", [1, HEARTBEAT_MISSED, HEARTBEAT_MISSED + 1, 100])
def test_who_comes_back_after_a_gap_is_steady_since_then(pulse: Pulse, gap: int) -> None:
    pulse.presence.count_message(OTHER)
    pulse.beat(gap)
    pulse.presence.count_message(OTHER)
    pulse.presence.count_message(OTHER)
    assert pulse.describe().steady == (0 if gap > HEARTBEAT_MISSED else gap)
    assert pulse.describe(ME).unheard[OTHER] == 0
    assert pulse.describe(ME).heard[OTHER] == 3


def test_a_heartbeat_is_no_message_until_its_author_is_counted(pulse: Pulse) -> None:
    """Its author may be known by the keys of another epoch."""
    pulse.beat(2)
    assert pulse.hear([0, 0, 0, 0], 1)
    assert pulse.describe(ME).heard[OTHER] == 0
    assert pulse.describe(ME).unheard[OTHER] == 2
    assert pulse.describe().steady == 2
    pulse.presence.count_message(OTHER)
    assert pulse.describe(ME).heard[OTHER] == 1
    assert pulse.describe().steady == 0


@pytest.mark.parametrize(
    ("boot", "sequence", "is_newer"),
    [(5, 7, False), (5, 6, False), (4, 9, False), (5, 8, True), (6, 1, True)],
    ids=["the same", "an older one", "one of an earlier life", "a newer one", "a new life"],
)
def test_a_replay_changes_nothing(pulse: Pulse, boot: int, sequence: int, is_newer: bool) -> None:
    assert pulse.hear([1, 0, 1, 1], 7, boot=5)
    pulse.beat()
    before, changes = pulse.describe(), pulse.presence.changes
    assert pulse.hear([9, 0, 9, 9], sequence, boot=boot) is is_newer
    assert (pulse.describe() != before) is is_newer
    assert (pulse.presence.changes > changes) is is_newer


def test_a_count_is_as_old_as_its_last_growth(pulse: Pulse) -> None:
    """Beats between two heartbeats count, however many of these told the same."""
    for sequence, counts in enumerate(([5, 0, 5, 5], [5, 0, 6, 5], [5, 0, 7, 6], [5, 0, 7, 7]), 1):
        pulse.beat(2)
        pulse.hear(counts, sequence)
    assert pulse.describe().unheard == {ME: 6, THIRD: 2, FOURTH: 0}
    pulse.beat()
    assert pulse.describe().unheard == {ME: 6, THIRD: 2, FOURTH: 0}, "it has said nothing since"
    assert pulse.describe().missed == 1


def test_over_a_change_of_the_roster_a_count_is_as_old_as_it_was(pulse: Pulse) -> None:
    """Whose place is another now is known by its address; who is new has grown just now."""
    addresses = FIVE.document.addresses
    (new,) = set(addresses) - set(NETWORK.document.addresses)
    assert addresses[:4] != NETWORK.document.addresses
    pulse.hear([5, 0, 5, 5], 1)
    pulse.beat(2)
    pulse.hear([6, 0, 5, 6], 2)
    pulse.beat(2)
    counts = {ME: 6, OTHER: 0, THIRD: 5, FOURTH: 7, new: 0}
    pulse.hear([counts[address] for address in addresses], 3, network=FIVE)
    assert pulse.describe(network=FIVE).unheard == {ME: 2, THIRD: 4, FOURTH: 0, new: 0}
    pulse.beat(2)
    counts[THIRD] = 6
    pulse.hear([counts[address] for address in addresses], 4, network=FIVE)
    assert pulse.describe(network=FIVE).unheard == {ME: 4, THIRD: 0, FOURTH: 2, new: 2}


def test_who_was_forgotten_comes_back_as_a_stranger(pulse: Pulse) -> None:
    for member in (OTHER, THIRD):
        pulse.presence.count_message(member)
        pulse.hear([7, 7, 7, 7], 9, member=member)
    pulse.beat(10)
    pulse.presence.forget_all_but(frozenset({ME, THIRD}), PAIRS)
    assert pulse.describe().received is None
    assert pulse.describe(THIRD).received is not None
    assert pulse.describe(ME).heard == {ME: 0, OTHER: 0, THIRD: 1, FOURTH: 0}
    assert pulse.hear([1, 1, 1, 1], 1), "an older one than what was forgotten"
