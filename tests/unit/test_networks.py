"""The sample networks that other tests stand on are valid and always the same."""

from __future__ import annotations

import pytest

from gossip_price import crypto
from gossip_price.network.document import Mode
from gossip_price.network.epochs import EpochChain
from networks import make_network


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("members", [3, 4, 7, 20])
def test_a_sample_network_is_valid_and_repeats_itself(members: int, mode: Mode) -> None:
    network = make_network(members, mode=mode)
    assert network == make_network(members, mode=mode)
    assert len(network.document.members) == members
    assert [crypto.get_address(secret) for secret in network.signing_secrets] == list(
        network.document.addresses
    )


def test_another_seed_is_another_network() -> None:
    one, other = make_network(seed="a"), make_network(seed="b")
    assert one.document.network_id != other.document.network_id
    assert not set(one.document.addresses) & set(other.document.addresses)


def test_a_rows_signatures_are_by_address_and_recover_to_it() -> None:
    network = make_network(4)
    row = network.row(network.report(3, proposer=2))
    assert [address for address, _ in row.signatures] == sorted(a for a, _ in row.signatures)
    assert network.document.addresses[2] in dict(row.signatures)
    for address, signature in row.signatures:
        assert crypto.recover(row.id, signature) == address


def test_a_following_epoch_continues_the_chain() -> None:
    network = make_network(4)
    following = network.follow(start_index=8, members=5)
    chain = EpochChain([network.document, following.document])
    assert chain.get_in_force(network.round(7)) is network.document
    assert chain.get_in_force(network.round(8)) is following.document
