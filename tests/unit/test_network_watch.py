"""A network file is followed while it is replaced, half written, damaged and mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gossip_price.adapters.network_file import NetworkWatch, write_network
from gossip_price.core.types import Now
from gossip_price.network.document import DocumentError, NetworkFile, Peers
from gossip_price.network.epochs import EpochChain
from networks import START, SampleNetwork, make_network

FOUR = make_network(4)
FIVE = FOUR.follow(start_index=4, members=5)
SIX = FIVE.follow(start_index=4, members=6)


class SetClock:
    def __init__(self) -> None:
        self.wall_s = START

    def now(self) -> Now:
        return Now(self.wall_s * 1000, 0)


class Follower:
    """A watch on a file, what it has handed on, and a clock set by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = SetClock()
        self.taken: list[EpochChain] = []
        self.admitted: list[frozenset[str]] = []
        self.objection: str | None = None
        network = NetworkFile((FOUR.document,))
        write_network(path, network)
        self.watch = NetworkWatch(
            path,
            network,
            EpochChain(network.epochs),
            clock=self.clock,
            take=self.take,
            admit=self.admitted.append,
        )
        self.watch.look()
        self.taken.clear()

    def take(self, chain: EpochChain) -> None:
        if self.objection:
            raise DocumentError(self.objection)
        self.taken.append(chain)

    def look(self) -> list[str]:
        """Look twice; return the reasons that were told."""
        with capture_logs() as logs:
            self.watch.look()
            self.watch.look()
        return [log["reason"] for log in logs if log["event"] == "network_file_refused"]


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower(tmp_path / "network.json")


def write(follower: Follower, *networks: SampleNetwork) -> None:
    documents = tuple(network.document for network in networks)
    write_network(follower.path, NetworkFile(documents))


def test_a_new_epoch_is_handed_on_once_and_its_members_are_let_in(follower: Follower) -> None:
    write(follower, FOUR, FIVE)
    assert follower.look() == []
    assert [chain.newest.epoch for chain in follower.taken] == [2]
    assert follower.admitted[-1] == {member.peer_id for member in FIVE.document.members}


def test_a_mounted_configmap_is_followed_through_its_links(tmp_path: Path) -> None:
    for name, documents in (("1", (FOUR,)), ("2", (FOUR, FIVE))):
        (tmp_path / name).mkdir()
        epochs = tuple(network.document for network in documents)
        write_network(tmp_path / name / "network.json", NetworkFile(epochs))
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "network.json").symlink_to("data/network.json")
    taken: list[EpochChain] = []
    watch = NetworkWatch(
        tmp_path / "network.json",
        NetworkFile((FOUR.document,)),
        EpochChain([FOUR.document]),
        clock=SetClock(),
        take=taken.append,
        admit=lambda peers: None,
    )
    watch.look()
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "data")
    watch.look()
    assert [chain.newest.epoch for chain in taken] == [1, 2]


def test_what_is_half_written_is_told_once_and_the_network_known_stays(follower: Follower) -> None:
    write(follower, FOUR, FIVE)
    whole = follower.path.read_bytes()
    follower.path.write_bytes(whole[: len(whole) // 2])
    (reason,) = follower.look()
    assert reason.startswith("network file: ")
    assert follower.taken == []
    follower.path.write_bytes(whole)
    assert follower.look() == []
    assert len(follower.taken) == 1
    follower.path.unlink()
    assert len(follower.look()) == 1


def test_other_epochs_and_fewer_are_refused(follower: Follower) -> None:
    write(follower, FOUR, FIVE)
    follower.look()
    write(follower, FOUR)
    (reason,) = follower.look()
    assert "epoch 2 is known and missing here" in reason
    write(follower, FOUR, FOUR.follow(start_index=8, members=5))
    (reason,) = follower.look()
    assert "add epochs to the file, change none" in reason
    write(follower, FOUR, FIVE, SIX)
    assert follower.look() == []
    assert [chain.newest.epoch for chain in follower.taken] == [2, 3]


def test_keys_that_contradict_the_roster_refuse_the_file(follower: Follower) -> None:
    follower.objection = "member 0x… has another peer id"
    write(follower, FOUR, FIVE)
    assert follower.look() == ["member 0x… has another peer id"]
    assert follower.admitted[-1] == {member.peer_id for member in FOUR.document.members}


def test_a_removed_member_is_cut_when_its_time_has_come_without_any_change_of_the_file(
    follower: Follower,
) -> None:
    shrunk = FIVE.follow(start_index=4, members=4)
    write(follower, FOUR, FIVE, shrunk)
    follower.look()
    follower.clock.wall_s = shrunk.document.start
    follower.look()
    assert len(follower.admitted[-1]) == 5
    follower.clock.wall_s += FIVE.document.skew + FIVE.document.settle
    follower.look()
    assert follower.admitted[-1] == {member.peer_id for member in FOUR.document.members}


def test_listeners_come_and_go_with_the_file(follower: Follower) -> None:
    write_network(follower.path, NetworkFile((FOUR.document,), Peers(listeners=("me",))))
    follower.look()
    assert "me" in follower.admitted[-1]
