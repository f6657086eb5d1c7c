"""`gossip-price network next`: a person changes a network, one safe epoch after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossip_price.adapters.datafolder import DataFolder
from gossip_price.adapters.network_file import read_network, write_network
from gossip_price.cli import run
from gossip_price.network.document import Member, NetworkFile, Peers
from networks import make_network

FOUR = make_network(4).document
NEW, OTHER = make_network(2, seed="new").document.members


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    past = make_network(4, start=15_000).document
    write_network(path, NetworkFile((past,), Peers(listeners=(NEW.peer_id,))))
    return path


def next_epoch(file: Path, *options: str) -> int:
    return run(["network", "next", str(file), *options])


def add(*members: Member) -> list[str]:
    return [f"--add={member.address},{member.peer_id}" for member in members]


def test_a_member_is_added_and_all_else_stays(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert next_epoch(file, *add(NEW), "--proven") == 0
    network = read_network(file)
    before, after = network.epochs
    assert set(after.members) == {*before.members, NEW}
    assert (after.minimum_signers, after.faulty) == (4, 1)
    assert network.peers.listeners == (NEW.peer_id,)
    assert "appended   epoch 2" in capsys.readouterr().out


def test_the_epochs_between_are_told_and_made_one_by_one(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate = (*add(NEW), f"--remove={FOUR.members[0].address}")
    assert next_epoch(file, *rotate, "--proven", "--lead=1s") == 0
    said = capsys.readouterr().out
    assert "then       4 of 5 sign, a round each 15s" in said
    assert "then       3 of 4 sign, a round each 15s" in said
    assert "remaining  1: say the same again once a round is proven in it" in said
    # Before the epoch between has begun there is no next one, whatever is claimed.
    assert next_epoch(file, *rotate, "--proven") == 1
    assert "not yet    epoch 2 starts in" in capsys.readouterr().out
    assert len(read_network(file).epochs) == 2


def test_without_proof_only_the_way_is_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert next_epoch(file, *add(NEW, OTHER)) == 1
    said = capsys.readouterr().out
    assert "then       4 of 6 sign" in said
    assert "not yet    no round was proven in epoch 1 yet" in said
    assert len(read_network(file).epochs) == 1


def test_nothing_to_do_is_said_and_no_failure(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert next_epoch(file) == 0
    assert "nothing    epoch 1 is as wanted" in capsys.readouterr().out


def test_an_interval_and_a_protocol_are_changed(file: Path) -> None:
    assert next_epoch(file, "--interval=10m", "--protocol=2", "--proven") == 0
    changed = read_network(file).epochs[-1]
    assert (changed.interval, changed.skew, changed.fallback_delay) == (600, 30, 10)
    assert changed.protocol == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--add=0x12"], "--add: "),
        ([f"--add={NEW.address}"], "write ADDRESS,PEERID"),
        (["--remove=me"], "--remove: "),
        (["--interval=soon"], "--interval: 'soon' given"),
        (["--minimum-signers=2"], "allowed in Rounds: more than half"),
        (["--lead=x"], "--lead: 'x' given"),
    ],
)
def test_bad_input_is_named_with_its_option(
    file: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert next_epoch(file, *options) == 2
    assert said in capsys.readouterr().err
    assert len(read_network(file).epochs) == 1


def test_a_folder_whose_network_has_grown_still_holds_the_nodes_that_it_made(
    tmp_path: Path,
) -> None:
    assert run(["network", "new", "--folder", str(tmp_path)]) == 0
    assert next_epoch(tmp_path / "network.json", *add(NEW), "--proven") == 0
    folder = DataFolder.open(tmp_path)
    try:
        network = folder.load()
    finally:
        folder.close()
    assert network is not None
    assert (len(network.nodes), len(network.file.epochs[-1].members)) == (4, 5)
