from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip_price.network.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("given_value", "seconds"),
    [
        ("10m", 600),
        ("30s", 30),
        ("1h30m", 5400),
        ("1h0m5s", 3605),
        ("90", 90),
        (" 15s ", 15),
        (600, 600),
        (0, 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(given_value: object, seconds: int) -> None:
    assert parse_duration(given_value) == seconds


@pytest.mark.parametrize(
    "given_value",
    [
        *("", " ", "s", "m10", "10 m", "30m1h", "1.5h", "1h30", "-5s", "5ms", "1d", "10M"),
        *("٣s", "9" * 20, -1, 1.5, True, None, []),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(given_value: object) -> None:
    with pytest.raises(ValueError, match="30s, 10m or 1h30m"):
        parse_duration(given_value)


@given(st.integers(0, 10**8))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds
