"""Whatever somebody writes into a file or a variable: a value, or the one promised error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.network.multiaddrs import check_dial, check_full, check_listen, parse_multiaddr
from gossip_price.network.problems import Problem
from gossip_price.network.spec import SpecError, make_document, parse_network, parse_yaml
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price.settings import Settings, SettingsError, load_settings
from spec_cases import NETWORK_ID, make_members, make_raw

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)
NAMES = st.sampled_from([str(field.alias) for field in NetworkSpec.model_fields.values()])
INNER = st.sampled_from(
    [
        *("name", "decimals", "minPrice", "maxPrice", "interval", "sources", "minSources"),
        *("count", "minimumSigners", "settle", "mode", "managed", "external", "peers"),
        *("storage", "existing", "maxDeviation", "bootstrap", "url", "path"),
    ]
)
LIKELY = st.sampled_from(
    [
        "ETH-USD",
        "10m",
        {"name": "coinbase"},
        {"name": "ETH-USD"},
        "Rounds",
        "1%",
        "0.1",
        3,
        4,
        100,
        [],
        {},
    ]
)
VALUES = st.recursive(
    st.one_of(LIKELY, SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(INNER, inner, max_size=3)),
    max_leaves=6,
)


T = TypeVar("T")


def attempt(read: Callable[[], T]) -> T | tuple[Problem, ...]:
    """Return what was read, or the reasons why not; any other exception is the test's failure."""
    try:
        return read()
    except (SpecError, SettingsError) as error:
        return error.problems


def is_reasoned(result: object) -> bool:
    """Whether a refusal gives at least one reason, each with a name and what is allowed."""
    if not isinstance(result, tuple):
        return True
    return bool(result) and all(
        (problem.path or problem.is_sentence) and problem.allowed for problem in result
    )


@settings(max_examples=300, deadline=None)
@given(st.one_of(ANYTHING, st.dictionaries(NAMES, VALUES, max_size=4)))
def test_any_spec_is_read_or_refused_with_reasons_and_what_is_read_makes_a_document(
    spec: Any,
) -> None:
    network = attempt(lambda: parse_network(make_raw(spec)))
    assert is_reasoned(network)
    if isinstance(network, tuple):
        return
    count = network.spec.nodes.count
    document = make_document(
        network.spec, make_members(count), network_id=NETWORK_ID, start=1_700_000_000
    )
    assert document.minimum_signers <= count


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_any_resource_is_read_or_refused(raw: Any) -> None:
    assert is_reasoned(attempt(lambda: parse_network(raw)))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_resource_or_refused(text: str) -> None:
    assert is_reasoned(attempt(lambda: parse_yaml(text)))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([str(field.alias) for field in Settings.model_fields.values()]),
            st.text(max_size=5).map("GP_".__add__),
        ),
        st.one_of(st.text(max_size=30), st.from_regex(r"/(ip4|dns)/[0-9.a]{1,9}/tcp/\d{1,6}")),
        max_size=6,
    )
)
def test_any_environment_is_read_or_refused_with_reasons(environ: dict[str, str]) -> None:
    assert is_reasoned(attempt(lambda: load_settings(environ)))


@given(st.one_of(st.text(max_size=60), st.from_regex(r"/(ip[46]|dns[46]?)/\S{1,9}/tcp/\d{1,6}")))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for check in (check_listen, check_dial, check_full):
        with suppress(ValueError):
            assert check(text) == text
            assert 0 <= parse_multiaddr(text).port <= 65535
