"""Merging is a union over members, whatever the order, loss and repetition."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.core.quorum import Tally
from gossip_price.core.types import Now
from networks import make_network

NETWORK = make_network(7)
REPORT = NETWORK.report()
ID = NETWORK.compute_id(REPORT)
SIGNATURES = [NETWORK.sign(REPORT, member) for member in range(7)]
PROPOSER = NETWORK.document.index_by_address[REPORT.proposer]
MEMBERS = st.lists(st.integers(0, 6), max_size=20)
STEADY = settings(derandomize=True, deadline=None, max_examples=150)


def merge(*groups: list[int]) -> Tally:
    tally = Tally(ID, REPORT, NETWORK.document)
    for number, member in enumerate(member for group in groups for member in group):
        tally.merge(member, SIGNATURES[member], Now(number * 1000, number * 1000))
    return tally


@STEADY
@given(MEMBERS, MEMBERS, MEMBERS)
def test_a_merge_is_a_union(one: list[int], two: list[int], three: list[int]) -> None:
    expected = dict.fromkeys({*one, *two, *three})
    for groups in ((one, two, three), (three, one, two), (one, one, two, three, two)):
        tally = merge(*groups)
        assert tally.signatures == {member: SIGNATURES[member] for member in expected}
    assert merge(one, two).get_signers() == merge(two, one).get_signers()


@STEADY
@given(MEMBERS)
def test_proven_is_a_quorum_of_distinct_members_with_the_proposer_in_it(members: list[int]) -> None:
    tally = merge(members)
    distinct = len(set(members))
    is_quorum = distinct >= NETWORK.document.minimum_signers
    assert tally.is_proven is (is_quorum and PROPOSER in members)
    assert (tally.settles_ms is None) is not tally.is_proven
    assert len(tally.get_signers()) == distinct


@STEADY
@given(MEMBERS)
def test_it_settles_after_the_last_new_signer_and_never_after_the_cap(members: list[int]) -> None:
    tally = merge(members)
    if tally.settles_ms is None or tally.proven_ms is None:
        return
    firsts = [number for number, member in enumerate(members) if member not in members[:number]]
    document = NETWORK.document
    # In order of arrival: the quorum's last, or the proposer, whoever came later.
    proven_ms = max(firsts[document.minimum_signers - 1], members.index(PROPOSER)) * 1000
    assert tally.proven_ms == proven_ms
    assert tally.settles_ms == min(
        (firsts[-1] + document.settle) * 1000, proven_ms + document.settle_cap * 1000
    )


@STEADY
@given(st.permutations(range(7)), st.integers(1, 7))
def test_signers_and_entries_are_in_one_order(members: list[int], count: int) -> None:
    tally = merge(members[:count])
    assert [signature.member for signature in tally.to_entry().signatures] == sorted(
        members[:count]
    )
    addresses = [address for address, _ in tally.get_signers()]
    assert addresses == sorted(addresses)


def test_the_first_valid_signature_is_kept() -> None:
    tally = merge([0])
    assert not tally.merge(0, b"x" * 65, Now(9, 9))
    assert tally.signatures[0] == SIGNATURES[0]
    assert tally.last_signer_ms == 0


@STEADY
@given(MEMBERS, st.integers(0, 2**10 - 1))
def test_missing_are_members_that_have_not_signed_here(members: list[int], bits: int) -> None:
    missing = merge(members).find_missing(bits)
    assert missing == sum(1 << one for one in range(7) if bits >> one & 1 and one not in members)
