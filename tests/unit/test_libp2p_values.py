"""The transport's pure parts: addresses, membership, book, inbox, handshake places."""

from __future__ import annotations

import json
import socket

import pytest
import trio

from gossip_price.adapters.libp2p.addresses import (
    check_free,
    compute_announced,
    list_resolved,
    parse_bootstrap,
)
from gossip_price.adapters.libp2p.announcement import encode_announcement, parse_announcement
from gossip_price.adapters.libp2p.book import ADDRESSES_MAX, PEERS_MAX, PeerBook
from gossip_price.adapters.libp2p.config import LibP2pConfig
from gossip_price.adapters.libp2p.inbox import Inbox
from gossip_price.adapters.libp2p.membership import BANS_MAX, Membership
from gossip_price.adapters.libp2p.swarm import Pending
from gossip_price.network.keys import compute_peer_id
from gossip_price.network.multiaddrs import Address, parse_multiaddr

PEER = compute_peer_id(b"\x01" * 32)
OTHER = compute_peer_id(b"\x02" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip6/::1/tcp/0",
        "/dns4/bootstrap.prices.svc/tcp/4001",
        f"/dns/localhost/tcp/65535/p2p/{PEER}",
    ],
)
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_multiaddr(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4001",
        "/ip4/300.0.0.1/tcp/1",
        "/ip4/::1/tcp/1",
        "/ip4/127.0.0.1/udp/1/quic-v1",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/4001/p2p/Qm",
        "/ip4/127.0.0.1/tcp/4001/ws",
        "/dns4/" + "a" * 300 + "/tcp/1",
    ],
)
def test_what_is_no_address_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"an address such as|after /|a port from"):
        parse_multiaddr(text)


def test_a_bootstrap_without_a_peer_id_is_refused() -> None:
    with pytest.raises(ValueError, match=r"allowed: .* followed by /p2p/"):
        parse_bootstrap("/ip4/127.0.0.1/tcp/4001")


def test_a_taken_port_is_named_and_a_free_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"/ip4/127.0.0.1/tcp/{port}"):
            check_free(Address("ip4", "127.0.0.1", port))
    check_free(Address("ip4", "127.0.0.1", port))


def test_any_interface_is_announced_as_one_that_can_be_dialed() -> None:
    (announced,) = compute_announced([Address("ip4", "0.0.0.0", 4001)], [])  # noqa: S104  # the trap
    assert not announced.is_unspecified
    assert announced.port == 4001


def test_a_given_announcement_wins_over_what_is_listened_on() -> None:
    given = parse_multiaddr("/dns4/node.example/tcp/4001")
    assert compute_announced([Address("ip4", "127.0.0.1", 1)], [given]) == [given]


def test_a_name_becomes_its_addresses_once_each() -> None:
    name = parse_multiaddr("/dns/boot/tcp/4001")
    answers = [(2, "192.0.2.7"), (2, "192.0.2.7"), (10, "2001:db8::7"), (10, "fe80::1%eth0")]
    found = [str(each) for each in list_resolved(name, answers)]
    assert found == ["/ip4/192.0.2.7/tcp/4001", "/ip6/2001:db8::7/tcp/4001"]


def test_an_announcement_survives_the_way() -> None:
    address = parse_multiaddr("/ip4/192.0.2.7/tcp/4001")
    assert parse_announcement(encode_announcement([address])) == (str(address),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"[1]",
        b"[" * 1500,
        json.dumps(["/ip4/0.0.0.0/tcp/1"]).encode(),
        json.dumps(["/ip4/192.0.2.7/tcp/0"]).encode(),
        json.dumps([f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}"]).encode(),
        json.dumps(["/ip4/192.0.2.7/tcp/1"] * 9).encode(),
        json.dumps(["/ip4/192.0.2.7/tcp/1", " " * 2048]).encode(),
    ],
)
def test_what_is_no_announcement_is_none(data: bytes) -> None:
    assert parse_announcement(data) is None


def test_private_admits_members_and_bootstraps_only() -> None:
    membership = Membership(frozenset({"member"}), frozenset({"boot"}), open_access=False)
    assert [membership.is_admitted(peer, 0) for peer in ("member", "boot", "who")] == [1, 1, 0]
    membership.replace(frozenset({"who"}))
    assert [membership.is_admitted(peer, 0) for peer in ("member", "boot", "who")] == [0, 1, 1]


def test_a_ban_ends_and_holds_in_an_open_network_too() -> None:
    membership = Membership(frozenset(), frozenset(), open_access=True)
    membership.process_ban("peer", until=300.0, now=0.0)
    assert not membership.is_admitted("peer", 299.0)
    assert membership.is_admitted("peer", 300.0)


def test_bans_are_bounded_and_the_first_to_end_gives_way() -> None:
    membership = Membership(frozenset(), frozenset(), open_access=True)
    for number in range(BANS_MAX + 1):
        membership.process_ban(str(number), until=300.0 + number, now=0.0)
    assert not membership.is_banned("0", 1.0)
    assert membership.is_banned("1", 1.0)


def test_backoff_doubles_to_its_bound_and_a_new_address_resets_it() -> None:
    book = PeerBook({PEER: ("/ip4/192.0.2.7/tcp/1",)})
    waits = []
    now = 0.0
    for _ in range(6):
        book.process_dialed(PEER, None, now, dice=1.0, delay_max_s=5.0)
        waits.append(next(s / 10 for s in range(100) if book.list_due(now + s / 10)))
        now += waits[-1]
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert book.learn(PEER, ["/ip4/192.0.2.8/tcp/1"], now - 4.9)
    assert book.list_due(now - 4.9) == [PEER]


def test_the_address_that_answered_comes_first_and_old_ones_leave() -> None:
    book = PeerBook({})
    for number in range(ADDRESSES_MAX + 1):
        book.learn(PEER, [f"/ip4/192.0.2.{number}/tcp/1"], 0.0)
    assert len(book.get_addresses(PEER)) == ADDRESSES_MAX
    assert book.process_dialed(PEER, "/ip4/192.0.2.2/tcp/1", 0.0, 0.0, delay_max_s=1)
    assert book.get_addresses(PEER)[0] == "/ip4/192.0.2.2/tcp/1"


def test_a_hint_is_dialed_and_not_persisted_before_it_is_proven() -> None:
    book = PeerBook({})
    book.hint(PEER, ["/ip4/192.0.2.7/tcp/1"])
    assert book.get_addresses(PEER) == ("/ip4/192.0.2.7/tcp/1",)
    assert book.snapshot() == {}
    book.process_dialed(PEER, "/ip4/192.0.2.7/tcp/1", 0.0, 0.0, delay_max_s=1)
    assert book.snapshot() == {PEER: ("/ip4/192.0.2.7/tcp/1",)}


def test_the_book_is_bounded() -> None:
    book = PeerBook({})
    for number in range(PEERS_MAX + 5):
        book.learn(str(number), ["/ip4/192.0.2.7/tcp/1"], 0.0)
    assert len(book.snapshot()) == PEERS_MAX
    assert "0" not in book.snapshot()


def test_a_full_inbox_drops_the_newest_and_wakes_once() -> None:
    inbox = Inbox(messages_max=2, bytes_max=100)
    assert [inbox.put("a", bytes([number])) for number in range(3)] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert inbox.take(1) == ([("a", b"\0")], True)
    assert inbox.put("a", bytes(100)) == (False, False)
    assert inbox.take(5) == ([("a", b"\1")], False)
    assert inbox.put("a", bytes(100)) == (True, True)


def test_of_too_many_handshakes_the_oldest_of_the_greediest_gives_way() -> None:
    pending = Pending(per_ip=2, total=3)
    scopes = [trio.CancelScope() for _ in range(5)]
    assert pending.enter("loris", scopes[0]) is None
    assert pending.enter("loris", scopes[1]) is None
    assert pending.enter("loris", scopes[2]) is scopes[0]
    assert pending.enter("member", scopes[3]) is None
    assert pending.enter("other", scopes[4]) is scopes[1]
    pending.leave("loris", scopes[2])
    pending.leave("loris", scopes[2])


def test_the_identity_key_is_in_no_repr() -> None:
    config = LibP2pConfig(b"\xab" * 32, ("/ip4/127.0.0.1/tcp/0",), bytes(32))
    assert "abab" not in repr(config)
    assert r"\xab" not in repr(config)
    assert OTHER not in repr(config)
