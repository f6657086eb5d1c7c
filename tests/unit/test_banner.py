"""What `up` says before its processes do."""

from __future__ import annotations

import os
import shutil
from datetime import UTC
from pathlib import Path

import pytest
from msgspec.structs import replace

from gossip_price.adapters.datafolder import LocalNetwork
from gossip_price.cli.banner import (
    QUERY,
    START_S,
    WRITE_S,
    Programs,
    compute_first_round,
    describe_program,
    foretell,
    hide_password,
    list_addresses,
    list_processes,
    make_hints,
    make_labels,
)
from gossip_price.cli.localnet import Layout
from gossip_price.cli.network import make_network
from gossip_price.network.document import NetworkFile
from gossip_price.network.keys import shorten
from gossip_price.network.spec_parts import NetworkSpec

LAYOUT = Layout(8080, (21_000, 21_001, 21_002, 21_003, 21_004), 21_005)
PROGRAMS = Programs(".venv/bin/gossip-price", "psql")
URL = "postgresql://postgres@/gossip_price?host=/x"
SECRET = "hunter2"
ROOT = Path(__file__).parents[2]
NOON = 1_700_049_600


@pytest.fixture
def network(tmp_path: Path) -> LocalNetwork:
    spec = NetworkSpec.model_validate({"price": {"interval": "10m"}, "consensus": {"settle": "5s"}})
    return make_network(tmp_path / "data", spec)


def change(network: LocalNetwork, **fields: object) -> LocalNetwork:
    """Return the network with another newest epoch."""
    (document,) = network.file.epochs
    file = NetworkFile((replace(document, **fields),), network.file.peers)
    return LocalNetwork(file, network.bootstrap_peer_id, network.bootstrap_key, network.nodes)


def test_the_banner_names_every_address(network: LocalNetwork) -> None:
    text = "\n".join(list_processes(network, LAYOUT, "SIMULATED"))
    for number in range(5):
        assert f"http://127.0.0.1:{8080 + number}" in text
        assert f"/ip4/127.0.0.1/tcp/{21_000 + number}" in text
    assert all(
        node.member.address in text and shorten(node.member.peer_id) in text
        for node in network.nodes
    )
    assert "SIMULATED" in text


def test_a_node_is_shown_with_the_number_by_which_page_and_status_know_it(
    network: LocalNetwork,
) -> None:
    (document,) = network.file.epochs
    fewer = change(network, members=document.members[1:])
    assert list(make_labels(network).values()) == [f"node-{k + 1} (member {k})" for k in range(4)]
    assert list(make_labels(fewer).values()) == [
        "node-1",
        "node-2 (member 0)",
        "node-3 (member 1)",
        "node-4 (member 2)",
    ]
    banner = list_processes(fewer, LAYOUT, "live")
    assert any(line.startswith("node-3 (member 1)  http://127.0.0.1:8083 ") for line in banner)
    assert [one["member"] for one in list_addresses(fewer, LAYOUT)] == [None, None, 0, 1, 2]


def test_the_hints_can_be_pasted_and_show_columns_that_fit_a_line() -> None:
    hints = make_hints(Path("/my data"), URL, PROGRAMS)
    assert f"look      psql '{URL}' -c '{QUERY}'" in hints
    assert (
        f"prove     .venv/bin/gossip-price verify --database '{URL}' --network"
        " '/my data/network.json'"
    ) in hints
    assert "*" not in QUERY
    hidden = make_hints(Path("/data"), "postgresql://u:***@h/d", PROGRAMS)
    assert "database  postgresql://u:***@h/d  (write its password in place of ***)" in hidden


def test_the_readme_asks_the_database_what_the_banner_does() -> None:
    assert f"{QUERY};" in " ".join((ROOT / "README.md").read_text().split())


@pytest.mark.parametrize("folder", ["bin", "a b"])
def test_this_program_is_called_as_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    program = tmp_path / folder / "gossip-price"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    quoted = "bin/gossip-price" if folder == "bin" else "'a b/gossip-price'"
    assert describe_program(f"{folder}/gossip-price", "/usr/bin/python") == quoted
    monkeypatch.setenv("PATH", str(program.parent))
    assert describe_program(str(program), "/usr/bin/python") == "gossip-price"
    by_module = describe_program("/lib/gossip_price/__main__.py", str(tmp_path / "bin/python"))
    assert by_module == "bin/python -m gossip_price"


def test_the_bundled_psql_is_named_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = tmp_path / "bundle" / "psql"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert Programs.find(bundled_psql=bundled).psql == "bundle/psql"
    assert Programs.find(bundled_psql=None).psql == "psql"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert Programs.find(bundled_psql=bundled).psql == "psql"


def test_the_first_round_is_at_the_latest_the_next_that_new_nodes_may_sign(
    network: LocalNetwork,
) -> None:
    skew = network.file.epochs[0].skew
    last = NOON + 600 - START_S
    assert compute_first_round(network, NOON + 1) == NOON + 600
    assert compute_first_round(network, last - skew) == NOON + 600
    assert compute_first_round(network, last - skew + 1) == NOON + 1200
    for node in network.nodes:
        node.journal.touch()
    assert compute_first_round(network, last) == NOON + 600


def test_it_says_when_the_first_price_will_be_stored(network: LocalNetwork) -> None:
    assert WRITE_S == 1
    assert foretell(network, NOON, NOON - 252, UTC) == (
        "Ctrl-C ends it. The first price is stored by 12:00:06 (in 4m18s)."
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:5/d", "postgresql://u:***@h:5/d"),
        (f"postgresql://u@h/d?password={SECRET}&a=b", "postgresql://u@h/d?password=***&a=b"),
        (f"postgresql://h/d?user=u&PassWord={SECRET}", "postgresql://h/d?user=u&PassWord=***"),
        ("postgresql://postgres@/d?host=/s", "postgresql://postgres@/d?host=/s"),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert hide_password(url) == shown
