"""A source is written into a configuration and read back as the same source."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip_price.network.source_mapping import (
    format_source,
    format_sources,
    parse_source,
    parse_sources,
)
from gossip_price.network.sources import (
    ECHOES_MAX,
    PATH_LENGTH_MAX,
    PLACEHOLDERS,
    PRESETS,
    TIME_UNITS,
    Source,
)

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1, max_size=6)
TEMPLATES = PLAIN | st.sampled_from([f"{{{name}}}" for name in PLACEHOLDERS])
PATHS = st.lists(TEMPLATES, min_size=1, max_size=PATH_LENGTH_MAX).map(tuple)
WORDS = st.from_regex(r"[A-Za-z0-9]{1,12}", fullmatch=True)
SOURCES = st.builds(
    Source,
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    url=st.from_regex(r"https?://[a-z]{1,9}(:[1-9][0-9]{0,3})?/[a-z?=]{0,1900}", fullmatch=True),
    path=PATHS,
    time_path=st.none() | PATHS,
    simulated=st.booleans(),
    time_unit=st.sampled_from(TIME_UNITS),
    aliases=st.dictionaries(WORDS, WORDS, max_size=4).map(lambda names: tuple(names.items())),
    echoes=st.lists(st.tuples(PATHS, TEMPLATES), max_size=ECHOES_MAX).map(tuple),
)


@given(SOURCES | st.sampled_from(list(PRESETS.values())))
def test_any_source_is_read_back_as_it_was_written(source: Source) -> None:
    assert parse_source(format_source(source)) == source


@given(st.lists(SOURCES, min_size=1, max_size=4, unique_by=lambda source: source.name))
def test_any_sources_are_read_back_from_their_text(sources: list[Source]) -> None:
    assert parse_sources(format_sources(sources)) == tuple(sources)


def test_a_preset_is_written_by_its_name_and_a_changed_one_in_full() -> None:
    coinbase = PRESETS["coinbase"]
    assert format_source(coinbase) == {"name": "coinbase"}
    other = Source(coinbase.name, coinbase.url, coinbase.path)
    assert format_source(other) == {
        "name": "coinbase",
        "url": coinbase.url,
        "path": ["data", "rates", "{quote}"],
    }


@pytest.mark.parametrize(
    ("echoes", "said"),
    [
        ("data", "echoes: a list"),
        ([{"path": ["a"]}], r"echoes\[0\].text: it is required"),
        ([{"path": [], "text": "x"}], "echoes: .* allowed: 1 to 16 keys"),
        ([{"path": ["a"], "text": "{bse}"}], "echoes: unknown placeholder {bse}"),
        ([{"path": ["a"], "text": ""}], r"echoes\[0\].text: "),
        ([{"path": ["a"], "text": "x"}] * 17, "echoes: 17 given, allowed: at most 16"),
    ],
)
def test_echoes_that_cannot_be_are_refused(echoes: object, said: str) -> None:
    source = {"name": "mine", "url": "https://h/x", "path": ["p"], "echoes": echoes}
    for read in (lambda: parse_source(source), lambda: parse_sources(json.dumps([source]))):
        with pytest.raises(ValueError, match=said):
            read()
