from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from gossip_price.adapters.keyfiles import KeyFileError, read_key, read_member, write_key
from gossip_price.adapters.network_file import read_network, write_network
from gossip_price.cli import run
from gossip_price.cli.network import make_network
from gossip_price.cli.wishes import Wishes, read_resource
from gossip_price.crypto import get_address
from gossip_price.network.document import Mode, Peers
from gossip_price.network.epochs import EpochChain, Role, find_role
from gossip_price.network.keys import compute_peer_id, format_address, parse_address
from gossip_price.network.spec import SpecError
from gossip_price.network.spec_parts import NetworkSpec

SECRET = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing.key"


def test_a_key_is_read_back_from_a_file_that_only_its_owner_can_read(path: Path) -> None:
    before = os.umask(0o777)
    try:
        write_key(path, SECRET)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == SECRET
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


@pytest.mark.parametrize("kind", ["file", "link to nothing", "folder"])
def test_a_key_is_never_written_over_anything(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(KeyFileError, match=r"signing\.key is there already.*never overwritten"):
        write_key(path, SECRET)
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]
    if kind == "file":
        assert path.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_key_that_others_can_touch_is_refused_with_the_remedy(path: Path, mode: int) -> None:
    write_key(path, SECRET)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode 0{mode:o}.*chmod 600 {path}"):
        read_key(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_that_only_its_owner_can_touch_is_fine(path: Path, mode: int) -> None:
    write_key(path, SECRET)
    path.chmod(mode)
    assert read_key(path) == SECRET


@pytest.mark.parametrize("mode", [0o440, 0o640])
@pytest.mark.parametrize(("owner", "fine"), [(0, True), (1000, False)])
def test_reading_by_the_group_is_fine_only_where_root_owns_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, fine: bool
) -> None:
    write_key(path, SECRET)
    path.chmod(mode)
    real = os.fstat

    def fstat_as(descriptor: int) -> os.stat_result:
        # Whoever runs this test: the owner is the only thing that it pretends.
        fields = list(real(descriptor))
        fields[stat.ST_UID] = owner
        return os.stat_result(fields)

    monkeypatch.setattr("gossip_price.adapters.keyfiles.os.fstat", fstat_as)
    if fine:
        assert read_key(path) == SECRET
    else:
        with pytest.raises(KeyFileError, match="chmod 600"):
            read_key(path)


def test_of_a_mounted_secret_the_target_is_judged_and_not_the_link(tmp_path: Path) -> None:
    """Kubernetes mounts `signing.key -> ..data/signing.key` and `..data -> ..2024_…`."""
    data = tmp_path / "..2024_01_01"
    data.mkdir()
    write_key(data / "signing.key", SECRET)
    (tmp_path / "..data").symlink_to(data.name)
    link = tmp_path / "signing.key"
    link.symlink_to("..data/signing.key")
    assert read_key(link) == SECRET
    (data / "signing.key").chmod(0o644)
    with pytest.raises(KeyFileError, match=f"mode 0644.*chmod 600 {data}/signing.key"):
        read_key(link)


@pytest.mark.parametrize(
    "content",
    [b"", b"secret-word", SECRET.hex().encode()[:-1], b"\xff" * 64, b"0" * 64, b"f" * 64, SECRET],
)
def test_a_file_without_a_key_is_refused_without_saying_what_it_holds(
    path: Path, content: bytes
) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"signing\.key holds no key") as caught:
        read_key(path)
    said = str(caught.value) + repr(caught.value.__cause__)
    assert "secret-word" not in said
    assert SECRET.hex()[:-1] not in said


def test_a_missing_key_and_a_folder_are_named(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"signing\.key cannot be read: No such file"):
        read_key(path)
    path.mkdir(0o700)
    with pytest.raises(KeyFileError, match=r"signing\.key"):
        read_key(path)
    with pytest.raises(KeyFileError, match="cannot be written: No such file"):
        write_key(path / "nowhere" / "signing.key", SECRET)


def test_keys_new_prints_what_is_public_and_keys_show_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "node" / "0"
    assert run(["keys", "new", "--folder", str(folder)]) == 0
    made = capsys.readouterr().out
    assert run(["keys", "show", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == made
    signing, identity = read_key(folder / "signing.key"), read_key(folder / "identity.key")
    assert signing != identity
    assert format_address(get_address(signing)) in made
    assert compute_peer_id(identity) in made
    assert signing.hex() not in made
    assert identity.hex() not in made
    assert run(["keys", "show", "--folder", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "address": format_address(get_address(signing)),
        "peerId": compute_peer_id(identity),
    }


@pytest.mark.parametrize("name", ["signing.key", "identity.key"])
def test_keys_new_leaves_a_folder_with_a_key_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("precious")
    assert run(["keys", "new", "--folder", str(tmp_path)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "precious")]


def test_keys_show_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "show", "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "signing.key cannot be read" in said
    assert "; remedy: give --folder the folder of a node's keys, or make some" in said


def test_network_new_makes_keys_and_a_document_that_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pair", "BTC-USD", "--pair", "ETH-USD", "--interval", "15s", "--settle", "5s"]
    options += ["--mode", "every-node", "--members", "5", "--minimum-signers", "4"]
    assert run(["network", "new", *options, "--folder", str(tmp_path / "net")]) == 0
    network = read_network(tmp_path / "net" / "network.json")
    document = EpochChain(network.epochs).newest
    said = capsys.readouterr().out
    assert document.hash.hex() in said
    assert "4 of 5" in said
    assert [terms.pair for terms in document.pairs] == ["BTC-USD", "ETH-USD"]
    assert (document.interval, document.settle, document.mode) == (15, 5, Mode.EVERY_NODE)
    assert document.start % 15 == 0
    for number in range(5):
        member = read_member(tmp_path / "net" / f"node-{number + 1}")
        assert find_role(document, parse_address(member.address), member.peer_id) is Role.MEMBER
        assert document.members[number] == member, "folders are not in the order of the roster"


def test_two_networks_never_share_an_id(tmp_path: Path) -> None:
    first, second = (make_network(tmp_path / name, NetworkSpec()) for name in "ab")
    assert first.file.epochs[0].network_id != second.file.epochs[0].network_id


def test_network_new_takes_a_file_and_options_win_over_it(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "examples" / "everything.yaml"
    wishes = Wishes({"spec.nodes.count": 4, "spec.consensus.minimumSigners": 3})
    spec = wishes.lay_over(read_resource(file)).spec
    assert (spec.nodes.count, spec.consensus.minimum_signers, len(spec.pairs)) == (4, 3, 2)
    network = make_network(tmp_path / "net", spec)
    assert network.file.peers.bootstrap == spec.access.peers.bootstrap
    assert read_network(tmp_path / "net" / "network.json") == network.file


def test_network_new_says_every_problem_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "net"
    options = ["--interval", "often", "--members", "2", "--pair", "eth"]
    assert run(["network", "new", "--folder", str(folder), *options]) == 2
    said = capsys.readouterr().err
    for name in ("--interval", "--nodes", "--pair"):
        assert f"gossip-price network: {name}" in said
    assert not folder.exists()


def test_network_new_tells_the_nodes_where_the_bootstrap_will_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--folder", str(tmp_path / "net"), "--bootstrap", "/dns4/bootstrap/tcp/8000"]
    assert run(["network", "new", *options]) == 0
    (known,) = read_network(tmp_path / "net" / "network.json").peers.bootstrap
    peer_id = compute_peer_id(read_key(tmp_path / "net" / "bootstrap" / "identity.key"))
    assert known == f"/dns4/bootstrap/tcp/8000/p2p/{peer_id}"
    with pytest.raises(SystemExit):
        run(["network", "new", "--folder", str(tmp_path / "b"), "--bootstrap", "bootstrap:8000"])
    assert "/dns4/host.example/tcp/8000" in capsys.readouterr().err


def test_network_new_keeps_a_network_that_is_there_when_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["network", "new", "--keep", "--folder", str(tmp_path)]
    assert run(command) == 0
    before, said = (tmp_path / "network.json").read_bytes(), capsys.readouterr().out
    assert run(command) == 0
    assert (tmp_path / "network.json").read_bytes() == before
    assert capsys.readouterr().out == said


def test_a_command_says_what_its_installation_leaves_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "gossip_price.cli.simulate", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert run(["simulate"]) == 2
    assert "pip install 'gossip-price[node,local]'" in capsys.readouterr().err


def test_network_new_never_writes_over_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["network", "new", "--folder", str(tmp_path)]) == 0
    before = (tmp_path / "network.json").read_bytes()
    assert run(["network", "new", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "network.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"-f .*network.yaml: cannot be read \(No such file .*\): give a PriceNetwork"),
        ("a: [", "network.yaml: line 1: not YAML"),
        ("spec: 5", "spec: 5 given"),
        ("spec: {price: 5}", "spec.price: 5 given"),
    ],
)
def test_a_file_that_is_wrong_where_an_option_would_go_is_refused(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "network.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=said):
        Wishes({"spec.price.interval": "15s"}).lay_over(read_resource(path))


def test_a_network_file_is_replaced_whole(tmp_path: Path) -> None:
    network = make_network(tmp_path, NetworkSpec()).file
    changed = type(network)(network.epochs, Peers(admitted=("x",)))
    write_network(tmp_path / "network.json", changed)
    assert read_network(tmp_path / "network.json") == changed
    assert not list(tmp_path.glob(".network*"))
