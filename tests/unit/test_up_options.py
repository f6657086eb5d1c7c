"""What `up` makes of its options, the file and the folder, before anything is started."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest

from gossip_price.adapters.datafolder import DataFolder, DataFolderError, LocalNetwork
from gossip_price.adapters.supervisor import Died, Line
from gossip_price.adapters.tcp_ports import choose_ports, is_free
from gossip_price.cli import run, up
from gossip_price.cli.display import Display
from gossip_price.cli.launch import Launch, LaunchError, Order
from gossip_price.cli.localnet import (
    Layout,
    clean_environment,
    make_feed_child,
    make_node_children,
)
from gossip_price.cli.prices import make_feed_source
from gossip_price.cli.wishes import Wishes
from gossip_price.network.problems import ProblemsError
from gossip_price.network.sources import PRESETS, make_coinbase_like
from gossip_price.settings import load_settings

COMMAND = ("gossip-price",)
LAYOUT = Layout(8080, (21_000, 21_001, 21_002, 21_003, 21_004), 21_005)
SECRET = "hunter2"
ROOT = Path(__file__).parents[2]


def parse(*options: str) -> Order:
    parser = argparse.ArgumentParser()
    up.configure(parser)
    return up.make_order(parser.parse_args(options))


def take_network(order: Order) -> LocalNetwork:
    """Do what a launch does with its folder, and let go of it."""

    async def take() -> LocalNetwork:
        folder = DataFolder.open(order.data)
        try:
            return Launch(order)._take_network(folder)[0]
        finally:
            folder.close()

    return asyncio.run(take())


def write_resource(path: Path, spec: dict[str, Any]) -> Path:
    resource = {"apiVersion": "gossip-price.io/v1alpha1", "kind": "PriceNetwork"}
    path.write_text(json.dumps({**resource, "metadata": {"name": "x"}, "spec": spec}))
    return path


def test_without_options_it_is_four_nodes_and_rounds_of_fifteen_seconds(tmp_path: Path) -> None:
    document = take_network(parse("--data", str(tmp_path))).file.epochs[0]
    assert (len(document.members), document.interval, document.settle) == (4, 15, 30)
    assert (document.minimum_signers, document.skew, document.mode.value) == (3, 5, "Rounds")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--for", "-1"], "argument --for"),
        (["--feed", "ftp://host"], "argument --feed: 'ftp://host' given, allowed: auto, live"),
        (["--feed", "Live"], "argument --feed: 'Live' given"),
        (["--port", "70000"], "argument --port: '70000' given, allowed: a port"),
        (["--mode", "solo"], "argument --mode: 'solo' given, allowed: Rounds, EveryNode"),
        (["--feed", "50%"], "argument --feed: '50%' given"),
        (["--database", ""], "argument --database: the database URL is empty, allowed: postgresql"),
        (["--database", f"mysql://u:{SECRET}@h/d"], "argument --database: the database URL"),
    ],
)
def test_a_bad_option_is_refused_with_exit_code_2_and_what_is_allowed(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*options)
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in errors
    assert SECRET not in errors


def test_bad_wishes_are_refused_all_at_once_by_the_options_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    options = ["--nodes", "four", "--interval", "0s", "--settle", "soon", "--pair", "eth"]
    options += ["--minimum-signers", "0"]
    assert run(["up", "--data", str(data), *options]) == 2
    said = capsys.readouterr().err
    for words in (
        "--nodes: 'four' given, allowed: a valid integer",
        "--interval: '0s' given, allowed: greater than or equal to 1",
        "--settle: 'soon' given, allowed: a duration such as 30s",
        "--minimum-signers: 0 given, allowed: greater than or equal to 1",
        "--pair: 'eth' given, allowed: BASE-QUOTE",
    ):
        assert words in said
    assert not data.exists()


def test_up_goes_on_with_what_network_new_has_made(tmp_path: Path) -> None:
    options = ["--members", "5", "--pair", "BTC-USD", "--interval", "20s"]
    assert run(["network", "new", "--folder", str(tmp_path), *options]) == 0
    document = take_network(parse("--data", str(tmp_path))).file.epochs[0]
    assert (len(document.members), document.interval) == (5, 20)
    wished = take_network(parse("--data", str(tmp_path), "--nodes", "5", "--pair", "BTC-USD"))
    assert wished.file.epochs == (document,)
    differ = "pairs: ETH-USD asked for, the folder's network has BTC-USD"
    with pytest.raises(LaunchError, match=differ):
        take_network(parse("--data", str(tmp_path), "--pair", "ETH-USD"))


def test_a_network_that_cannot_be_safe_is_refused_by_the_options_name(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"^--nodes: 2 given, allowed: at least 3"):
        take_network(parse("--data", str(tmp_path), "--nodes", "2"))
    with pytest.raises(ProblemsError, match=r"^--minimum-signers: 2 given, allowed: in Rounds"):
        take_network(parse("--data", str(tmp_path), "--minimum-signers", "2"))


def test_a_folders_network_goes_on_when_nothing_contradicts_it(tmp_path: Path) -> None:
    first = take_network(parse("--data", str(tmp_path), "--nodes", "7", "--interval", "20s"))
    assert len(first.nodes) == 7
    assert take_network(parse("--data", str(tmp_path))) == first
    assert take_network(parse("--data", str(tmp_path), "--nodes", "7")) == first


def test_options_that_contradict_the_folder_are_each_named_and_what_to_type_instead(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    take_network(parse("--data", str(data)))
    (tmp_path / "data-2").mkdir()
    options = "--nodes 5 --interval 1m --settle 10s --minimum-signers 4 --mode EveryNode"
    with pytest.raises(LaunchError) as refused:
        take_network(parse("--data", str(data), *options.split()))
    assert refused.value.code == 2
    assert str(refused.value).splitlines() == [
        f"{data} holds another network:",
        "  nodes: 5 asked for, the folder's network has 4",
        "  interval: 1m asked for, the folder's network has 15s",
        "  settle: 10s asked for, the folder's network has 30s",
        "  minimum signers: 4 asked for, the folder's network has 3",
        "  mode: EveryNode asked for, the folder's network has Rounds",
        f"for a new network beside it say --data {data}-3; to go on with that one, leave out what"
        " differs",
    ]
    assert take_network(parse("--data", f"{data}-3", *options.split()))


def test_a_file_is_obeyed_and_options_win_over_it(tmp_path: Path) -> None:
    file = write_resource(
        tmp_path / "n.yaml", {"pairs": [{"name": "BTC-USD"}], "nodes": {"count": 7}}
    )
    data = str(tmp_path / "data")
    network = take_network(parse("--data", data, "-f", str(file), "--nodes", "5"))
    document = network.file.epochs[0]
    assert (len(network.nodes), document.interval) == (5, 600)
    assert [terms.pair for terms in document.pairs] == ["BTC-USD"]
    with pytest.raises(LaunchError, match="nodes: 7 asked for"):
        take_network(parse("--data", data, "-f", str(file)))
    other = write_resource(tmp_path / "o.yaml", {"nodes": {"count": 5}})
    differ = "pairs: ETH-USD asked for, the folder's network has BTC-USD"
    with pytest.raises(LaunchError, match=differ):
        take_network(parse("--data", data, "-f", str(other)))
    finer = write_resource(
        tmp_path / "p.yaml", {"pairs": [{"name": "BTC-USD", "decimals": 2}], "nodes": {"count": 5}}
    )
    differ = r"pairs: BTC-USD \(2 decimals, from 0.01 to .*\) asked for, .* \(8 decimals, from 0.0"
    with pytest.raises(LaunchError, match=differ):
        take_network(parse("--data", data, "-f", str(finer)))


def test_what_readme_and_example_tell_people_to_run_goes_with_a_plain_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [(ROOT / name).read_text() for name in ("README.md", "examples/network.yaml")]
    lines = [line for text in texts for line in re.findall(r"make run ARGS='([^'…]+)'", text)]
    assert len(lines) >= 4
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for line in ["", *lines]:
        take_network(parse(*shlex.split(line)))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ProblemsError, match=r"^-f nowhere.yaml: cannot be read \(No such file"):
        parse("-f", "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is in it: `name: value` lines are needed"),
        ("- a", "it holds a list: `name: value` lines are needed"),
        ("spec:\n  a: 1\n b: 2", "line 3: not YAML: "),
        ("kind: PriceNetwork", "metadata: it is required"),
        ("spec: {nodes: {count: 0}}", "spec.nodes.count: 0 given, allowed: greater than"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_the_files_name(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "n.yaml"
    file.write_text(text)
    with pytest.raises(ProblemsError) as refused:
        take_network(parse("--data", str(tmp_path / "data"), "-f", str(file), "--interval", "20s"))
    assert f"{file}: {said}" in str(refused.value)
    assert "--interval" not in str(refused.value)


def test_a_spec_that_is_no_mapping_is_a_readable_error() -> None:
    with pytest.raises(ProblemsError):
        Wishes({"spec.nodes.count": 4}).lay_over({"spec": "no"})
    with pytest.raises(ProblemsError):
        Wishes({"spec.nodes.count": 4}).lay_over({"spec": {"nodes": "no"}})


def test_members_go_by_their_numbers_in_the_epoch_that_was_entered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = take_network(parse("--data", str(tmp_path), "--nodes", "5"))
    removed = network.nodes[1].member.address
    folder = DataFolder.open(tmp_path)
    display = Display(json=False, give_up=pytest.fail)
    display.take_network(folder, network)
    display.hear(Died("node-3", "exit code 1", 0.5))
    file = str(tmp_path / "network.json")
    assert run(["network", "next", file, "--remove", removed, "--proven"]) == 0
    display.hear(Line("node-1", '{"event": "epoch_entered", "epoch": 2}'))
    display.hear(Died("node-2", "exit code 1", 0.5))
    display.hear(Died("node-3", "exit code 1", 0.5))
    folder.close()
    said = re.findall(r"(node-.*) died", capsys.readouterr().out)
    assert said == ["node-3 (member 2)", "node-2", "node-3 (member 1)"]


def test_a_folder_of_foreign_keys_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        take_network(parse("--data", str(tmp_path / name)))
    (tmp_path / "a" / "network.json").replace(tmp_path / "b" / "network.json")
    with pytest.raises(DataFolderError, match="the keys are not those of the members"):
        take_network(parse("--data", str(tmp_path / "b")))


@pytest.mark.parametrize("remains", ["node-2/journal.sqlite", "postgres"])
def test_a_network_file_that_was_lost_is_not_replaced_by_a_new_network(
    tmp_path: Path, remains: str
) -> None:
    take_network(parse("--data", str(tmp_path)))
    (tmp_path / remains).mkdir()
    (tmp_path / "network.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataFolderError) as refused:
        take_network(parse("--data", str(tmp_path), "--nodes", "5"))
    assert str(refused.value).startswith(f"{tmp_path}/network.json is missing, but a network has")
    for words in (f"({tmp_path}/{remains} is there)", "from a backup", "choose another folder"):
        assert words in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_key_that_was_lost_is_named_with_the_remedy(tmp_path: Path) -> None:
    take_network(parse("--data", str(tmp_path)))
    key = tmp_path / "node-2" / "signing.key"
    key.chmod(0o644)
    with pytest.raises(DataFolderError, match=r"; remedy: chmod 600 \S+, or choose another folder"):
        take_network(parse("--data", str(tmp_path)))
    key.unlink()
    with pytest.raises(DataFolderError) as refused:
        take_network(parse("--data", str(tmp_path)))
    assert str(refused.value) == (
        f"key file {key} cannot be read: No such file or directory; remedy: put it back from a"
        " backup, or choose another folder, or remove this one (its prices go with it)"
    )


def test_keys_that_were_made_before_a_cut_are_kept(tmp_path: Path) -> None:
    first = take_network(parse("--data", str(tmp_path)))
    (tmp_path / "network.json").unlink()
    second = take_network(parse("--data", str(tmp_path)))
    assert [node.member.address for node in second.nodes] == [
        node.member.address for node in first.nodes
    ]


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    with pytest.raises(DataFolderError, match="another gossip-price "):
        DataFolder.open(tmp_path)
    folder.close()
    DataFolder.open(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match=r"cannot be written .*: choose another folder"):
        DataFolder.open(tmp_path / "file" / "data")


def test_a_port_that_is_taken_is_named_with_its_user_and_the_remedy(tmp_path: Path) -> None:
    async def choose() -> Layout:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            return Launch(parse("--port", str(port - 2)))._choose_layout(4)

    with pytest.raises(LaunchError, match=r"is taken: choose another first port with --port"):
        asyncio.run(choose())


def test_free_ports_are_different_and_not_those_that_are_taken() -> None:
    ports = choose_ports(20, random.Random(3), taken=range(20_000, 31_000))  # noqa: S311 # seeded
    assert len(set(ports)) == 20
    assert all(31_000 <= port < 32_000 and is_free(port) for port in ports)


def test_every_nodes_environment_is_one_that_nodes_accept(tmp_path: Path) -> None:
    network = take_network(parse("--data", str(tmp_path)))
    source = make_coinbase_like("simulated", "http://127.0.0.1:9", simulated=True)
    bootstrap, *nodes = make_node_children(
        COMMAND,
        clean_environment({"PATH": "/bin", "GP_SOURCES": "mine"}),
        network,
        LAYOUT,
        network_path=tmp_path / "network.json",
        database=f"postgresql://u:{SECRET}@h/d",
        sources=[PRESETS["coinbase"], source],
        min_sources=1,
        access="Private",
    )
    assert load_settings(bootstrap.environment).bootstrap
    assert "GP_DATABASEURL" not in bootstrap.environment
    for number, child in enumerate(nodes, 1):
        settings = load_settings(child.environment)
        assert settings.sources == (PRESETS["coinbase"], source)
        assert settings.http_addr == ("127.0.0.1", 8080 + number)
        assert settings.connection_addr == f"/ip4/127.0.0.1/tcp/{21_000 + number}"
        full = f"/ip4/127.0.0.1/tcp/21000/p2p/{network.bootstrap_peer_id}"
        assert settings.bootstrap_addr == (full,)
        assert child.environment["PATH"] == "/bin"
        assert SECRET not in repr(child)


def test_the_feed_is_told_of_currencies_that_it_does_not_know(tmp_path: Path) -> None:
    file = write_resource(
        tmp_path / "n.yaml", {"pairs": [{"name": "ETH-USD"}, {"name": "DOGE-USD"}]}
    )
    network = take_network(parse("--data", str(tmp_path / "data"), "-f", str(file)))
    child = make_feed_child(COMMAND, {}, LAYOUT, network)
    assert child.command[2:] == ("--port", "21005", "--start", "DOGE-USD=100")


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h:1", "http://h:1/v2/exchange-rates?currency=ETH"),
        ("http://h:1/", "http://h:1/v2/exchange-rates?currency=ETH"),
        ("https://h/rates?of={base}", "https://h/rates?of=ETH"),
    ],
)
def test_a_feed_url_gets_coinbases_path_unless_it_has_its_own(url: str, asked: str) -> None:
    assert make_feed_source(url).expand("ETH-USD").url == asked
