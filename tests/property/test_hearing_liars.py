"""One liar of four or more makes no honest member look isolated, and hides none that is."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from crafted import make_heartbeat
from gossip_price.core.hearing import MemberPresence, find_isolated
from gossip_price.core.limits import HEARD_COUNT_MAX
from gossip_price.core.presence import Presence
from gossip_price.core.testimony import encode_heard
from gossip_price.core.types import Now
from networks import make_network

STEADY = settings(derandomize=True, deadline=None, max_examples=150)
NETWORKS = {members: make_network(members) for members in (4, 5, 7)}
TEMPLATES = {
    members: [make_heartbeat(network, index) for index in range(members)]
    for members, network in NETWORKS.items()
}
BEATS = 12


@STEADY
@given(st.data())
def test_one_liar_does_not_set_the_picture(data: st.DataObject) -> None:
    members = data.draw(st.sampled_from(sorted(NETWORKS)))
    document = NETWORKS[members].document
    me, liar, other = data.draw(st.permutations(range(members)))[:3]
    isolated = data.draw(st.sampled_from([None, other]))
    presence = Presence()
    presence.process_price()
    counts = [[0] * members for _ in range(members)]
    for beat in range(1, BEATS + 1):
        now = Now(beat * 5_000, beat * 5_000)
        presence.process_beat(members, now.mono_ms, is_quiet=False)
        for author in range(members):
            if author == isolated:
                continue
            # A liar speaks to whom it likes.
            heard_by = [
                receiver
                for receiver in range(members)
                if receiver not in (author, isolated)
                and (author != liar or data.draw(st.booleans()))
            ]
            for receiver in heard_by:
                counts[receiver][author] += 1
            if me not in heard_by:
                continue
            presence.count_message(document.addresses[author])
            boot, sequence, words, clock_ms = 1, beat, counts[author], now.wall_ms
            if author == liar:
                boot = data.draw(st.integers(0, 3))
                words = data.draw(
                    st.lists(
                        st.integers(0, 3) | st.just(HEARD_COUNT_MAX),
                        min_size=members,
                        max_size=members,
                    )
                )
                clock_ms = data.draw(st.sampled_from([0, now.wall_ms, 2**53 - 1]))
            word = msgspec.structs.replace(
                TEMPLATES[members][author],
                boot=boot,
                sequence=sequence,
                clock_ms=clock_ms,
                heard=encode_heard(words),
            )
            presence.process_heartbeat(word, document, now)
    ours = MemberPresence(document.addresses[me], received=Now(0, 0))
    found = set(find_isolated(presence.describe(document, ours))) - {document.addresses[liar]}
    assert found == (set() if isolated is None else {document.addresses[isolated]})
