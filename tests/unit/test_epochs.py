from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gossip_price.network.document import DocumentError, Member
from gossip_price.network.epochs import EpochChain, get_end
from gossip_price.network.keys import parse_address
from networks import START, make_network

FIRST = make_network(4)
SECOND = FIRST.follow(start_index=4, members=5)
THIRD = SECOND.follow(start_index=4, members=6)


def test_each_second_has_the_epoch_that_started_last() -> None:
    chain = EpochChain([FIRST.document, SECOND.document, THIRD.document])
    assert chain.get_in_force(START - 1) is None
    assert chain.get_in_force(START) is FIRST.document
    assert chain.get_in_force(START + 59) is FIRST.document
    assert chain.get_in_force(START + 60) is SECOND.document
    assert chain.get_in_force(START + 10**9) is THIRD.document
    assert chain.newest is THIRD.document


def test_who_lives_is_the_same_whatever_was_asked_before() -> None:
    documents = [FIRST.document, SECOND.document, THIRD.document]
    chain = EpochChain(documents)
    later = SECOND.document.start + SECOND.document.skew + SECOND.document.settle
    for second in (
        THIRD.document.start - 1,
        SECOND.document.start,
        later - 1,
        later,
        0,
        THIRD.document.start,
        THIRD.document.start + 10**9,
        SECOND.document.start - 1,
        START,
    ):
        for asked in (second, second + 1, second - 1, second):
            assert chain.list_live(asked) == EpochChain(documents).list_live(asked)


def test_the_epoch_before_lives_until_its_last_rounds_have_settled() -> None:
    chain = EpochChain([FIRST.document, SECOND.document, THIRD.document])
    start = SECOND.document.start
    end = start + FIRST.document.skew + FIRST.document.settle
    assert chain.list_live(start - 1) == chain.documents
    assert chain.list_live(start) == (*chain.documents[1:], FIRST.document)
    assert chain.list_live(end - 1)[-1] is FIRST.document
    assert FIRST.document not in chain.list_live(end)


def test_a_peer_is_who_it_is_in_the_first_living_epoch_that_has_it() -> None:
    """One member changes its signing key and one leaves, for whom another comes."""
    five = make_network(5, minimum_signers=5)
    changes, *stay, leaves = five.document.members
    new_key, comes = make_network(2, seed="other").document.members
    changed = Member(new_key.address, changes.peer_id)
    roster = sorted((changed, *stay, comes), key=lambda member: parse_address(member.address))
    after = five.follow(start_index=4).document
    after = msgspec.structs.replace(after, members=tuple(roster), minimum_signers=5)
    documents = [five.document, after]
    chain = EpochChain(documents)
    for second, who_it_is, is_gone in (
        (after.start - 1, changes, False),
        (after.start, changed, False),
        (get_end(five.document, after.start), changed, True),
        (START - 1, changes, False),
    ):
        for asked in (chain, EpochChain(documents)):
            for member in (who_it_is, *stay, comes):
                address = parse_address(member.address)
                assert asked.find_peer_address(member.peer_id, second) == address
            assert (asked.find_peer_address(leaves.peer_id, second) is None) is is_gone
            assert asked.find_peer_address("a stranger", second) is None


def test_a_document_is_found_by_its_hash() -> None:
    chain = EpochChain([FIRST.document, SECOND.document])
    assert chain.find(SECOND.document.hash) is SECOND.document
    assert chain.find(THIRD.document.hash) is None
    assert chain.network_id.hex() == FIRST.document.network_id[2:]


def change(**fields: Any) -> EpochChain:
    return EpochChain([FIRST.document, msgspec.structs.replace(SECOND.document, **fields)])


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "another network": ({"network_id": "0x" + "11" * 32}, "epoch 2: networkId differs"),
    "a number left out": ({"epoch": 3}, "epoch 3: follows epoch 1, allowed: 2"),
    "another predecessor": ({"previous": "0x" + "11" * 32}, "epoch 2: previous is not the hash"),
    "no later start": ({"start": START}, "epoch 2: start is not after"),
    "too few in common": (
        {"members": make_network(5, seed="other").document.members},
        "epoch 2: minimumSigners: 3 before and 4 now are not more than the 9 members of both",
    ),
    "a round cut in two": ({"interval": 10, "start": START + 50}, "cuts a round of epoch 1 in two"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_link_is_named(case: str) -> None:
    fields, said = BROKEN[case]
    with pytest.raises(DocumentError, match=said):
        change(**fields)


def test_a_chain_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(DocumentError):
        EpochChain([SECOND.document, FIRST.document])


def test_a_chain_has_at_least_one_epoch() -> None:
    with pytest.raises(DocumentError, match="epochs: none given"):
        EpochChain([])


def test_a_chain_may_begin_with_a_later_epoch() -> None:
    assert EpochChain([SECOND.document, THIRD.document]).get_in_force(START) is None
