from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain, Role, RoleError, find_role
from gossip_price.network.keys import compute_peer_id, parse_address
from gossip_price.network.sources import PRESETS
from gossip_price.network.spec import make_document, parse_network
from gossip_price.network.spec_parts import Access
from gossip_price.settings import (
    HostPort,
    LogFormat,
    LogLevel,
    Settings,
    SettingsError,
    check_against,
    load_settings,
)
from gossip_price.settings_page import fill_page
from spec_cases import NETWORK_ID, make_members, make_raw

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
PEER = compute_peer_id((7).to_bytes(32, "big"))
SECRET = "hunter2"
URL = f"postgresql://me:{SECRET}@db.example:5432/prices"

Environ = dict[str, str]


@pytest.fixture
def environ(tmp_path: Path) -> Environ:
    """The least that a member's node can be told."""
    files = {}
    for name in ("NETWORK", "SIGNINGKEY", "IDENTITYKEY"):
        path = tmp_path / name.lower()
        path.write_text("not read by the settings")
        files[f"GP_{name}_FILE"] = str(path)
    return {**files, "GP_JOURNAL_FILE": str(tmp_path / "journal.db"), "HOME": "/nobody"}


def find_problems(environ: Environ) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_left_out_has_its_default(environ: Environ) -> None:
    settings = load_settings(environ)
    assert settings.bootstrap is False
    assert settings.read_database_url() is None
    assert settings.connection_addr == "/ip4/0.0.0.0/tcp/8000"
    assert (settings.announce_addr, settings.bootstrap_addr) == ((), ())
    assert (settings.minimum_signer_count, settings.fetch_price_interval_s) == (None, None)
    assert settings.http_addr == HostPort("0.0.0.0", 8080)  # noqa: S104 - the default that is promised
    assert (settings.sources, settings.min_sources) == ((PRESETS["coinbase"],), 1)
    assert (settings.source_timeout_s, settings.source_max_age_s) == (5, 60)
    assert (settings.access, settings.log_format) == (Access.PRIVATE, LogFormat.TEXT)
    assert settings.log_level is LogLevel.INFO


def test_every_name_is_read(environ: Environ, tmp_path: Path) -> None:
    full = f"/dns4/boot.example/tcp/8000/p2p/{PEER}"
    given = {
        "GP_BOOTSTRAP": "true",
        "GP_DATABASEURL": URL,
        "GP_CONNECTIONADDR": "/ip6/::/tcp/0",
        "GP_ANNOUNCEADDR": "/ip4/192.0.2.1/tcp/8000, /dns/a.example/tcp/1",
        "GP_BOOTSTRAPADDR": full,
        "GP_MINIMUMSIGNERCOUNT": "3",
        "GP_FETCHPRICEINTERVAL": "10m",
        "GP_HTTPADDR": "[::1]:0",
        "GP_CORSORIGINS": "https://a.example, http://localhost:3000",
        "GP_SOURCES": "coinbase,kraken",
        "GP_MINSOURCES": "2",
        "GP_SOURCE_TIMEOUT": "7",
        "GP_SOURCE_MAXAGE": "2m",
        "GP_ACCESS": "Open",
        "GP_LOGFORMAT": "json",
        "GP_LOGLEVEL": "WARNING",
    }
    settings = load_settings(environ | given)
    assert settings.bootstrap is True
    assert settings.read_database_url() == URL
    assert settings.connection_addr == "/ip6/::/tcp/0"
    assert settings.announce_addr == ("/ip4/192.0.2.1/tcp/8000", "/dns/a.example/tcp/1")
    assert settings.bootstrap_addr == (full,)
    assert (settings.minimum_signer_count, settings.fetch_price_interval_s) == (3, 600)
    assert settings.network_file == tmp_path / "network"
    assert settings.signing_key_file == tmp_path / "signingkey"
    assert settings.identity_key_file == tmp_path / "identitykey"
    assert settings.journal_file == tmp_path / "journal.db"
    assert settings.http_addr == HostPort("::1", 0)
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert [source.name for source in settings.sources] == ["coinbase", "kraken"]
    assert (settings.min_sources, settings.source_timeout_s) == (2, 7)
    assert settings.source_max_age_s == 120
    assert (settings.access, settings.log_format) == (Access.OPEN, LogFormat.JSON)
    assert settings.log_level is LogLevel.WARNING
    # and no field was forgotten by this test
    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    assert aliases == {*given, *environ, "GP_DATABASEURL_FILE"} - {"HOME"}


@pytest.mark.parametrize("text", ["true", "1", "yes", "True"])
def test_a_bootstrap_node_needs_neither_signing_key_nor_journal(
    environ: Environ, text: str
) -> None:
    del environ["GP_JOURNAL_FILE"], environ["GP_SIGNINGKEY_FILE"]
    assert load_settings({**environ, "GP_BOOTSTRAP": text}).bootstrap is True


CASES: list[tuple[Environ, str]] = [
    ({"GP_BOOTSTRAP": "maybe"}, "GP_BOOTSTRAP: 'maybe' given, allowed: true or false"),
    ({"GP_DATABASEURL": f"mysql://{SECRET}"}, "GP_DATABASEURL: allowed: postgresql://"),
    ({"GP_DATABASEURL_FILE": "/nowhere"}, "GP_DATABASEURL_FILE: .*nowhere.*a file that is there"),
    ({"GP_CONNECTIONADDR": "0.0.0.0:8000"}, "GP_CONNECTIONADDR: '0.0.0.0:8000' given, .*/ip4/0"),
    ({"GP_CONNECTIONADDR": "/dns4/a.example/tcp/1"}, "a listen address"),
    ({"GP_CONNECTIONADDR": "/ip4/1.2.3/tcp/1"}, "after /ip4/ an IPv4 address"),
    ({"GP_CONNECTIONADDR": "/ip4/1.2.3.4/tcp/65536"}, "a port from 0 to 65535"),
    ({"GP_CONNECTIONADDR": "/ip4/1.2.3.4/udp/1/quic-v1"}, "a listen address"),
    ({"GP_CONNECTIONADDR": f"/ip4/1.2.3.4/tcp/1/p2p/{PEER}"}, "a listen address"),
    ({"GP_CORSORIGINS": "https://a.example/"}, r"GP_CORSORIGINS\[0\]: .*a.example/' given"),
    ({"GP_CORSORIGINS": "*,a.example"}, r"GP_CORSORIGINS\[1\]: .*without a path"),
    ({"GP_ANNOUNCEADDR": "/ip4/1.2.3.4/tcp/0"}, r"GP_ANNOUNCEADDR\[0\]: .*/tcp/0' given"),
    ({"GP_ANNOUNCEADDR": "/dns4/-a-/tcp/1"}, "after /dns4/ a DNS name"),
    ({"GP_BOOTSTRAPADDR": "/ip4/1.2.3.4/tcp/1"}, r"GP_BOOTSTRAPADDR\[0\]: .*followed by /p2p/"),
    ({"GP_BOOTSTRAPADDR": "/ip4/1.2.3.4/tcp/1/p2p/Qm"}, "peer id of a secp256k1 key"),
    ({"GP_MINIMUMSIGNERCOUNT": "three"}, "GP_MINIMUMSIGNERCOUNT: 'three' given, .*whole number"),
    ({"GP_MINIMUMSIGNERCOUNT": "0"}, "GP_MINIMUMSIGNERCOUNT: '0' given, .*or equal to 1"),
    ({"GP_FETCHPRICEINTERVAL": "10 min"}, "GP_FETCHPRICEINTERVAL: '10 min' given, .*30s, 10m"),
    ({"GP_NETWORK_FILE": ""}, "GP_NETWORK_FILE: it is required"),
    ({"GP_IDENTITYKEY_FILE": ""}, "GP_IDENTITYKEY_FILE: it is required"),
    ({"GP_SIGNINGKEY_FILE": "/"}, "GP_SIGNINGKEY_FILE: .*a file that is there"),
    ({"GP_JOURNAL_FILE": ""}, "GP_JOURNAL_FILE: .*required, unless GP_BOOTSTRAP"),
    ({"GP_JOURNAL_FILE": "/nowhere/journal.db"}, "GP_JOURNAL_FILE: .*in a folder that is there"),
    ({"GP_HTTPADDR": "8080"}, "GP_HTTPADDR: '8080' given, allowed: host:port"),
    ({"GP_HTTPADDR": "a:99999"}, "GP_HTTPADDR: 'a:99999' given"),
    ({"GP_SOURCES": "coinbas"}, "GP_SOURCES: .*did you mean coinbase"),
    ({"GP_SOURCES": "coinbase,coinbase"}, "GP_SOURCES: .*only once"),
    ({"GP_SOURCES": ","}, "GP_SOURCES: .*1 to 32"),
    ({"GP_SOURCES": "[{"}, "GP_SOURCES: .*not JSON"),
    ({"GP_SOURCES": '[{"name": "a", "url": "ftp://x", "path": ["p"]}]'}, "GP_SOURCES: .*http://"),
    ({"GP_MINSOURCES": "2"}, r"GP_MINSOURCES: 2 given, allowed: at most .*\(1\)"),
    ({"GP_SOURCE_TIMEOUT": "0"}, "GP_SOURCE_TIMEOUT: '0' given"),
    ({"GP_SOURCE_MAXAGE": "-1"}, "GP_SOURCE_MAXAGE: '-1' given"),
    ({"GP_ACCESS": "private"}, "GP_ACCESS: 'private' given, allowed: 'Private' or 'Open'"),
    ({"GP_LOGFORMAT": "xml"}, "GP_LOGFORMAT: 'xml' given, allowed: 'text' or 'json'"),
    ({"GP_LOGLEVEL": "loud"}, "GP_LOGLEVEL: 'loud' given, allowed: 'debug', 'info'"),
    (
        {"GP_DATABASURL": URL},
        r"GP_DATABASURL: an unknown name.*did you mean GP_DATABASEURL\?",
    ),
    ({"GP_CONFIGFILE": "x"}, r"GP_CONFIGFILE: .*did you mean GP_CONFIG_FILE\?"),
    ({"GP_CONFIG_FILE": "/nowhere"}, "GP_CONFIG_FILE: /nowhere .No such file"),
]


@pytest.mark.parametrize(("changes", "said"), CASES, ids=[said[:30] for _, said in CASES])
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(
    environ: Environ, changes: Environ, said: str
) -> None:
    (problem,) = find_problems(environ | changes)
    assert re.search(said, problem)
    assert SECRET not in problem


def test_all_problems_come_at_once(environ: Environ) -> None:
    wrong: Environ = {}
    for changes, _ in CASES:
        if not set(changes) & {"GP_CONFIG_FILE", "GP_BOOTSTRAP"}:
            wrong |= changes
    named = {problem.split(":")[0].split("[")[0] for problem in find_problems(environ | wrong)}
    # Of a list of sources that is itself wrong nobody knows how many are too many.
    assert named == set(wrong) - {"GP_MINSOURCES"}


def test_only_one_database_url_is_allowed(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(URL)
    both = {"GP_DATABASEURL": URL, "GP_DATABASEURL_FILE": str(path)}
    (problem,) = find_problems(environ | both)
    assert problem == "GP_DATABASEURL_FILE: allowed: only one of it and GP_DATABASEURL"


def test_a_mounted_database_url_is_read_again_each_time(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(URL + "\n")
    settings = load_settings(environ | {"GP_DATABASEURL_FILE": str(path)})
    assert settings.read_database_url() == URL
    path.write_text("postgres://other.example/prices")
    assert settings.read_database_url() == "postgres://other.example/prices"
    path.write_text(f"{SECRET}: not a URL")
    with pytest.raises(SettingsError, match=r"GP_DATABASEURL_FILE: .*url given") as caught:
        settings.read_database_url()
    assert SECRET not in str(caught.value)
    path.unlink()
    with pytest.raises(SettingsError, match="No such file"):
        settings.read_database_url()


def test_a_mounted_database_url_that_is_none_is_refused_at_start(
    environ: Environ, tmp_path: Path
) -> None:
    path = tmp_path / "url"
    path.write_text(SECRET)
    (problem,) = find_problems(environ | {"GP_DATABASEURL_FILE": str(path)})
    assert "a file that holds postgresql://" in problem
    assert SECRET not in problem


def test_secrets_are_in_no_repr(environ: Environ) -> None:
    settings = load_settings(environ | {"GP_DATABASEURL": URL})
    for text in (repr(settings), str(settings), str(settings.model_dump())):
        assert SECRET not in text


def test_a_source_of_ones_own_is_json(environ: Environ) -> None:
    source = {"name": "mine", "url": "http://127.0.0.1:1/{pair}", "path": ["price"]}
    given = json.dumps([{"name": "kraken"}, source | {"timePath": ["at"], "simulated": True}])
    first, second = load_settings(environ | {"GP_SOURCES": given}).sources
    assert first is PRESETS["kraken"]
    assert (second.name, second.time_path, second.simulated) == ("mine", ("at",), True)


def test_a_password_in_a_source_is_not_repeated(environ: Environ) -> None:
    url = f"https://me:{SECRET}@host.example/"
    for given in (url, json.dumps([{"name": "a", "url": url, "path": ["p"]}]), f'["{url}"]'):
        (problem,) = find_problems(environ | {"GP_SOURCES": given})
        assert SECRET not in problem


def test_settings_are_frozen(environ: Environ) -> None:
    settings = load_settings(environ)
    with pytest.raises(ValueError, match="frozen"):
        settings.bootstrap = True  # type: ignore[misc]  # that is the point


def test_an_empty_variable_counts_as_not_given(environ: Environ) -> None:
    assert load_settings({**environ, "GP_DATABASEURL": "", "GP_LOGLEVEL": ""}) == load_settings(
        environ
    )


@pytest.mark.parametrize(
    "name",
    [
        *("GP_SERVICE_HOST", "GP_SERVICE_PORT", "GP_SERVICE_PORT_HTTP", "GP_PORT"),
        *("GP_PORT_80_TCP", "GP_PORT_80_TCP_ADDR", "GP_TEST_SERVICE_HOST"),
        "GP_TEST_PORT_5432_TCP_PROTO",
    ],
)
def test_what_kubernetes_says_of_a_service_named_gp_is_left_alone(
    environ: Environ, name: str
) -> None:
    assert load_settings({**environ, name: "10.0.0.1"}) == load_settings(environ)


def test_the_environment_wins_over_the_file(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(
        "GP_SOURCES: [{name: coinbase}, {name: own, url: 'http://127.0.0.1:1/', path: [price]}]\n"
        "GP_MINSOURCES: 2\nGP_BOOTSTRAP: false\nGP_LOGLEVEL: debug\nGP_SOURCE_TIMEOUT: 4s\n"
        "GP_DATABASEURL:\n"
    )
    named = load_settings(environ | {"GP_CONFIG_FILE": str(path), "GP_LOGLEVEL": "error"})
    assert [source.name for source in named.sources] == ["coinbase", "own"]
    assert (named.min_sources, named.source_timeout_s) == (2, 4)
    assert named.log_level is LogLevel.ERROR
    assert load_settings(environ | {"GP_LOGLEVEL": "error"}, path) == named


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("GP_LOGLEVL: info", r"GP_LOGLEVL: an unknown name.*did you mean GP_LOGLEVEL\?"),
        ("GP_CONFIG_FILE: x", "GP_CONFIG_FILE: an unknown name"),
        ("loglevel: info", "loglevel: an unknown name"),
        (f"GP_DATABASEURL: [{SECRET}]", "GP_DATABASEURL: allowed: postgresql"),
        (f"GP_DATABASEURL: 'p:{SECRET}\n  x: [", "line 2: not YAML: "),
        ("GP_LOGLEVEL: info\nGP_LOGLEVEL: debug", "line 2: .*GP_LOGLEVEL stands twice"),
        ("- GP_LOGLEVEL", "it holds a list: `name: value` lines are needed"),
        ("GP_BOOTSTRAPADDR: 5", "GP_BOOTSTRAPADDR: 5 given, allowed: a list"),
    ],
)
def test_a_wrong_file_is_refused(environ: Environ, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(text)
    (problem,) = find_problems(environ | {"GP_CONFIG_FILE": str(path)})
    assert re.search(said, problem)
    assert SECRET not in problem


@pytest.fixture
def document() -> Document:
    return make_document(
        parse_network(make_raw()).spec, make_members(4), network_id=NETWORK_ID, start=6000
    )


@pytest.mark.parametrize("now_s", [0, 6000, 9000])
@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"GP_MINIMUMSIGNERCOUNT": "3", "GP_FETCHPRICEINTERVAL": "600"}, []),
        ({"GP_MINIMUMSIGNERCOUNT": "4"}, ["GP_MINIMUMSIGNERCOUNT: 4 given, allowed: 3, or"]),
        ({"GP_FETCHPRICEINTERVAL": "30s"}, ["GP_FETCHPRICEINTERVAL: 30s given, allowed: 10m, or"]),
        (
            {"GP_MINIMUMSIGNERCOUNT": "2", "GP_FETCHPRICEINTERVAL": "1h"},
            ["GP_MINIMUMSIGNERCOUNT: 2 given", "GP_FETCHPRICEINTERVAL: 1h given"],
        ),
    ],
)
def test_an_environment_that_contradicts_the_epoch_is_refused(
    environ: Environ, document: Document, changes: Environ, names: list[str], now_s: int
) -> None:
    settings = load_settings(environ | changes)
    said = []
    try:
        check_against(settings, EpochChain([document]), now_s)
    except SettingsError as error:
        said = [str(problem) for problem in error.problems]
    assert len(said) == len(names)
    assert all(text.startswith(start) for text, start in zip(said, names, strict=True))


def test_a_member_is_the_entry_of_its_own_key(document: Document) -> None:
    member = document.members[1]
    address = parse_address(member.address)
    assert find_role(document, address, member.peer_id) is Role.MEMBER
    assert find_role(document, bytes(20), PEER) is Role.LISTENER
    assert find_role(document, None, PEER) is Role.LISTENER


def test_keys_that_contradict_the_roster_are_refused_with_both_names(document: Document) -> None:
    member = document.members[1]
    with pytest.raises(RoleError, match=f"{member.peer_id}.*our identity key is {PEER}"):
        find_role(document, parse_address(member.address), PEER)
    with pytest.raises(RoleError, match=f"{member.peer_id} belongs to member {member.address}"):
        find_role(document, bytes(20), member.peer_id)
    with pytest.raises(RoleError, match="we have no signing key"):
        find_role(document, None, member.peer_id)


def test_the_page_is_what_the_classes_say() -> None:
    text = PAGE.read_text()
    assert fill_page(text) == text, (
        "run: python -m gossip_price.settings_page docs/configuration.md"
    )
