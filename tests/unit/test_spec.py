from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml

from gossip_price.network.document import INTEGER_MAX, Document, DocumentError, Mode
from gossip_price.network.sources import PRESETS
from gossip_price.network.spec import (
    SpecError,
    compute_skew,
    make_document,
    parse_network,
    parse_yaml,
)
from gossip_price.network.spec_parts import Access, DeletionPolicy
from spec_cases import NETWORK_ID, make_members, make_raw

EXAMPLES = Path(__file__).parents[2] / "examples"


def find_problems(**fields: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_network(make_raw(fields))
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_spec_is_a_network_with_every_default() -> None:
    spec = parse_network(make_raw({})).spec
    assert [pair.make_terms().pair for pair in spec.pairs] == ["ETH-USD"]
    terms = spec.pairs[0].make_terms()
    assert (terms.decimals, terms.min_price, terms.max_price) == (8, 1, INTEGER_MAX)
    assert (spec.price.interval, spec.price.min_sources, spec.price.max_deviation) == (600, 1, 100)
    assert spec.price.sources == (PRESETS["coinbase"],)
    assert (spec.consensus.settle, spec.consensus.mode) == (30, Mode.ROUNDS)
    assert spec.consensus.minimum_signers is None
    assert (spec.nodes.count, spec.bootstrap.replicas) == (4, 1)
    assert spec.postgres.managed is not None
    assert spec.access.mode is Access.PRIVATE
    assert spec.deletion_policy is DeletionPolicy.RETAIN
    assert spec.paused is False


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_is_valid_and_survives_a_round_trip(file: Path) -> None:
    network = parse_yaml(file.read_text())
    again = parse_network(yaml.safe_load(file.read_text()))
    assert again == network
    make_document(
        network.spec, make_members(network.spec.nodes.count), network_id=NETWORK_ID, start=0
    )


def test_the_full_example_sets_every_field() -> None:
    spec = yaml.safe_load((EXAMPLES / "everything.yaml").read_text())["spec"]
    assert set(spec) | {"documentRef"} == {
        field.alias for field in type(parse_network(make_raw({})).spec).model_fields.values()
    }


def test_what_kubernetes_adds_is_ignored() -> None:
    raw = make_raw({})
    raw["metadata"] |= {"uid": "x", "generation": 3, "managedFields": [{}], "namespace": "prices"}
    raw["status"] = {"conditions": []}
    assert parse_network(raw).metadata.namespace == "prices"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pears": []}, r"spec.pears: an unknown field given, .*did you mean pairs\?"),
        ({"price": {"intervall": "10m"}}, "spec.price.intervall: .*did you mean interval\\?"),
        ({"nodes": {"storage": {"sise": 1}}}, "spec.nodes.storage.sise: .*did you mean size\\?"),
        ({"pairs": [{"name": "ETH-USD", "x": 1}]}, r"spec.pairs\[0\].x: .*unknown field"),
        ({"pairs": []}, "spec.pairs: .*at least 1"),
        ({"pairs": "ETH-USD"}, "spec.pairs: 'ETH-USD' given, allowed: a list"),
        ({"pairs": [{"name": "eth-usd"}]}, r"spec.pairs\[0\].name: 'eth-usd' given, .*in capitals"),
        ({"pairs": [{"name": "ETH-USD"}] * 2}, "spec.pairs: 'ETH-USD' given.*only once"),
        ({"pairs": [{"name": "ETH-USD", "decimals": 19}]}, r"pairs\[0\].decimals: 19 given.*18"),
        ({"pairs": [{"name": "ETH-USD", "minPrice": 0.1}]}, "minPrice: 0.1 given.*in quotes"),
        ({"pairs": [{"name": "ETH-USD", "minPrice": "0"}]}, "1 unit .1e-8. ≤ minPrice"),
        (
            {"pairs": [{"name": "ETH-USD", "decimals": 2, "minPrice": "0.001"}]},
            "at most 2 decimals",
        ),
        ({"pairs": [{"name": "ETH-USD", "minPrice": 5, "maxPrice": 4}]}, "minPrice ≤ maxPrice"),
        ({"pairs": [{"name": "ETH-USD", "maxPrice": "NaN"}]}, "maxPrice: 'NaN' given"),
        ({"price": {"interval": "10x"}}, "spec.price.interval: '10x' given, .*10m or 1h30m"),
        ({"price": {"interval": 0}}, "spec.price.interval: 0 given.*greater than or equal to 1"),
        ({"price": {"interval": "25h"}}, "spec.price.interval: .*less than or equal to 86400"),
        ({"price": {"maxDeviation": "0%"}}, "maxDeviation: '0%' given, allowed: percent"),
        ({"price": {"maxDeviation": "0.001%"}}, "maxDeviation: '0.001%' given"),
        ({"price": {"maxDeviation": True}}, "maxDeviation: True given"),
        ({"price": {"sources": [{"name": "coinbas"}]}}, r"sources.*did you mean coinbase\\?"),
        ({"pairs": ["ETH-USD"]}, r"pairs\[0\]: 'ETH-USD' given"),
        ({"price": {"sources": ["coinbase"]}}, r"sources\[0\]: .*a mapping.*'coinbase' given"),
        ({"price": {"sources": [{"name": "x"}]}}, r"sources\[0\]: .*url and path: required, where"),
        ({"price": {"sources": [{"name": "coinbase"}] * 2}}, "sources: 'coinbase'.*only once"),
        ({"price": {"minSources": 2}}, "minSources: 2 given, allowed: at most.*sources .1."),
        ({"consensus": {"mode": "rounds"}}, "mode: 'rounds' given, allowed: 'Rounds' or 'Every"),
        ({"consensus": {"minimumSigners": "3"}}, "minimumSigners: '3' given.*valid integer"),
        ({"consensus": {"minimumSigners": 5}}, r"minimumSigners: 5 given.*nodes.count \(4\)"),
        (
            {"consensus": {"minimumSigners": 2}},
            r"in Rounds at least 3: .* exceed 4 nodes \+ 1 that may lie.*\(2·2 = 4 ≤ 5\)",
        ),
        ({"nodes": {"count": 2}}, "spec.nodes.count: 2 given, allowed: at least 3"),
        ({"nodes": {"count": 0}}, "spec.nodes.count: 0 given"),
        ({"nodes": {"count": 257}}, "spec.nodes.count: 257 given.*256"),
        (
            {"postgres": {"managed": {}, "external": {"secretName": "s"}}},
            "spec.postgres: allowed: exactly one of managed, external, cloudNativePG; managed and",
        ),
        ({"postgres": {"managed": None}}, "exactly one of"),
        ({"postgres": {"external": {}}}, "spec.postgres.external.secretName: .*required"),
        ({"postgres": {"mysql": {}}}, "spec.postgres.mysql: .*unknown field"),
        ({"access": {"mode": "Public"}}, "spec.access.mode: 'Public' given, .*'Private' or 'Open'"),
        (
            {"access": {"peers": {"bootstrap": ["/ip4/192.0.2.1/tcp/8000"]}}},
            r"bootstrap\[0\]: '/ip4/192.0.2.1/tcp/8000' given, .*followed by /p2p/",
        ),
        ({"access": {"peers": {"listeners": ["Qm"]}}}, r"listeners\[0\]: 'Qm' given.*16Uiu2"),
        (
            {"keys": {"existing": [{"node": 0, "secretName": name} for name in ("a", "b")]}},
            "spec.keys.existing: 0 given, allowed: each only once",
        ),
        ({"deletionPolicy": "Keep"}, "spec.deletionPolicy: 'Keep' given, .*'Retain' or 'Delete'"),
        ({"paused": "yes"}, "spec.paused: 'yes' given, allowed: a valid boolean"),
        (
            {"documentRef": {"name": "shared"}, "pairs": [{"name": "ETH-USD"}]},
            "spec.pairs: allowed: nothing beside documentRef",
        ),
        (
            {"documentRef": {"name": "shared"}, "price": {"interval": "1m"}},
            "spec.price.interval: allowed: nothing beside documentRef",
        ),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_what_was_given_and_what_is_allowed(
    fields: dict[str, object], said: str
) -> None:
    (problem,) = find_problems(**fields)
    assert re.search(said, problem)


def test_all_problems_come_at_once_contradictions_included() -> None:
    problems = find_problems(
        pairs=[{"name": "eth"}],
        price={"interval": "often"},
        consensus={"minimumSigners": 9},
        postgres={"managed": {}, "external": {"secretName": "s"}},
        colour="blue",
    )
    starts = [problem.split(":")[0] for problem in problems]
    assert sorted(starts) == [
        "spec.colour",
        "spec.consensus.minimumSigners",
        "spec.pairs[0].name",
        "spec.postgres",
        "spec.price.interval",
    ]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("- a", "it holds a list: `name: value` lines"),
        ("", "^nothing is in it: `name: value` lines"),
        ("a: [", "^line 1: not YAML: "),
        ("a: 1\nb: 2\na: 3", "^line 3: not YAML: a stands twice$"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("17", "it holds a single value"),
        ("kind: Secret\napiVersion: v1\nmetadata: {}\nspec: {}", "kind: 'Secret' given"),
    ],
)
def test_a_file_that_is_no_price_network_is_refused(raw: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_yaml(raw)


@pytest.mark.parametrize("name", ["Test", "-a", "a-", "a" * 64, "", "a_b", 5])
def test_a_name_that_kubernetes_would_refuse_is_refused(name: object) -> None:
    raw = make_raw({})
    raw["metadata"]["name"] = name
    with pytest.raises(SpecError, match=r"metadata\.name"):
        parse_network(raw)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    source = {"name": "mine", "url": "https://me:hunter2@host.example/", "path": ["price"]}
    (problem,) = find_problems(price={"sources": [source]})
    assert "hunter2" not in problem
    assert "password" in problem


def test_parsing_leaves_the_given_mapping_alone() -> None:
    raw = make_raw(pairs=[{"name": "ETH-USD"}], price={"sources": [{"name": "coinbase"}]})
    before = copy.deepcopy(raw)
    parse_network(raw)
    assert raw == before


@pytest.mark.parametrize(
    ("given", "units"),
    [("1%", 100), ("0.5%", 50), ("0.01%", 1), ("100%", 10_000), (25, 25)],
)
def test_a_deviation_is_percent_or_basis_points(given: object, units: int) -> None:
    assert parse_network(make_raw(price={"maxDeviation": given})).spec.price.max_deviation == units


@pytest.mark.parametrize(("interval", "skew"), [(1, 5), (15, 5), (120, 6), (600, 30), (86_400, 30)])
def test_the_skew_bound_follows_the_interval(interval: int, skew: int) -> None:
    assert compute_skew(interval) == skew


@pytest.mark.parametrize(("count", "signers"), [(3, 3), (4, 3), (5, 4), (7, 5), (10, 7), (100, 67)])
def test_a_threshold_left_out_is_the_smallest_safe_one(count: int, signers: int) -> None:
    spec = parse_network(make_raw(nodes={"count": count})).spec
    document = make_document(spec, make_members(count), network_id=NETWORK_ID, start=0)
    assert document.minimum_signers == signers


def test_a_first_document_says_what_the_spec_says() -> None:
    raw = make_raw(
        pairs=[
            {"name": "ETH-USD", "decimals": 2, "minPrice": "0.5", "maxPrice": 90_000},
            {"name": "BTC-USD"},
        ],
        price={"interval": "15s", "maxDeviation": "2%"},
        consensus={"settle": 10, "mode": "EveryNode", "minimumSigners": 2},
    )
    members = make_members(5)
    document = make_document(
        parse_network(raw).spec, reversed(members), network_id=NETWORK_ID, start=1_700_000_007
    )
    assert document == Document.parse(document.canonical)
    assert document.network_id == "0x" + NETWORK_ID.hex()
    assert (document.epoch, document.start, document.interval) == (1, 1_700_000_000 - 5, 15)
    assert (document.mode, document.minimum_signers, document.faulty) == (Mode.EVERY_NODE, 2, 1)
    assert (document.skew, document.settle, document.settle_cap) == (5, 10, 30)
    assert (document.fallback_delay, document.max_deviation) == (3, 200)
    assert [terms.pair for terms in document.pairs] == ["BTC-USD", "ETH-USD"]
    terms = document.terms_by_pair["ETH-USD"]
    assert (terms.min_price, terms.max_price) == (50, 9_000_000)
    assert sorted(document.members, key=lambda member: member.peer_id) == sorted(
        members, key=lambda member: member.peer_id
    )


def test_a_threshold_that_the_members_given_cannot_reach_safely_is_refused() -> None:
    spec = parse_network(make_raw(consensus={"minimumSigners": 3})).spec
    with pytest.raises(DocumentError, match="minimumSigners: 3 given"):
        make_document(spec, make_members(7), network_id=NETWORK_ID, start=0)
