"""Who may connect when, and what a key's holder is then."""

from __future__ import annotations

import pytest

from gossip_price.network.admission import find_roles, get_admitted
from gossip_price.network.document import Peers
from gossip_price.network.epochs import EpochChain, Role, RoleError
from networks import START, make_network

FIVE = make_network(5)
FOUR = FIVE.follow(start_index=4, members=4)
CHAIN = EpochChain([FIVE.document, FOUR.document])
(REMOVED,) = set(FIVE.document.members) - set(FOUR.document.members)
CHANGE = FOUR.document.start
STAYING = {member.peer_id for member in FOUR.document.members}


def test_a_removed_member_is_let_in_until_its_last_rounds_have_settled() -> None:
    end = CHANGE + FIVE.document.skew + FIVE.document.settle
    for unix_s, is_in in ((START, True), (CHANGE, True), (end - 1, True), (end, False)):
        admitted = get_admitted(CHAIN, Peers(), unix_s)
        assert (REMOVED.peer_id in admitted) is is_in
        assert admitted >= STAYING


def test_members_of_an_announced_epoch_are_let_in_before_it_starts() -> None:
    four = make_network(4)
    five = four.follow(start_index=100, members=5)
    chain = EpochChain([four.document, five.document])
    peers = {member.peer_id for member in five.document.members}
    assert get_admitted(chain, Peers(), START - 10) == peers


def test_members_to_be_and_listeners_are_let_in_by_name() -> None:
    peers = Peers(admitted=("a",), listeners=("b",))
    assert get_admitted(CHAIN, peers, CHANGE + 10**6) == STAYING | {"a", "b"}


def test_a_listener_becomes_a_member_and_a_member_a_listener_with_their_epochs() -> None:
    four = make_network(4)
    five = four.follow(start_index=4, members=5)
    (newcomer,) = set(five.document.members) - set(four.document.members)
    address = bytes.fromhex(newcomer.address[2:])
    chain = EpochChain([four.document, five.document])
    roles = find_roles(chain, address, newcomer.peer_id, START)
    assert roles == (Role.LISTENER, Role.MEMBER)
    assert find_roles(chain, address, newcomer.peer_id, five.document.start) == (Role.MEMBER,)


def test_a_key_that_contradicts_an_epoch_to_come_is_refused_and_one_that_is_over_is_not() -> None:
    address = bytes.fromhex(REMOVED.address[2:])
    other = make_network(1, seed="other").document.members[0].peer_id
    with pytest.raises(RoleError, match="use the identity key that belongs to this signing key"):
        find_roles(CHAIN, address, other, START)
    assert find_roles(CHAIN, address, other, CHANGE) == (Role.LISTENER,)
