"""`gossip-price verify` over JSON: what stands beside a report, and inputs that are no prices."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossip_price.adapters.shown import format_shown
from gossip_price.cli import run
from gossip_price.cli.verify import PROVEN, UNCHECKED, UNPROVEN
from gossip_price.core.price import SHOWN, format_price
from networks import make_network

NETWORK = make_network(4)
ROWS = NETWORK.rows(3)


def show(index: int, **changes: Any) -> dict[str, Any]:
    """A price as the API gives it, then changed beside its report."""
    report = ROWS[index].report
    price = format_price(report, ROWS[index].signatures, NETWORK.document)
    return price | format_shown(report) | changes


FIRST = show(0)
SHAPES: dict[str, Callable[[Any], str]] = {
    "one": json.dumps,
    "one over many lines": lambda price: json.dumps(price, indent=2),
    "the API's list": lambda price: json.dumps({"prices": [show(1), price], "next": None}),
    "a bare array": lambda price: json.dumps([show(1), price]),
    "a bare array over many lines": lambda price: json.dumps([show(1), price], indent=2),
    "lines": lambda price: f"{json.dumps(show(1))}\n{json.dumps(price)}\n",
}


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a text on standard input; get the exit code and all that was said."""

    def verify(text: str, *options: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        code = run(["verify", "-", *options])
        said = capsys.readouterr()
        return code, said.out + said.err

    return verify


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_api_says_beside_a_report_is_proven_with_it(verify: Any, shape: str) -> None:
    assert list(format_shown(ROWS[0].report)) == list(SHOWN)
    code, said = verify(SHAPES[shape](FIRST))
    assert code == PROVEN
    assert "all proven" in said


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "9999.00000000"),
        ("price", FIRST["price"].rstrip("0")),
        ("price", float(FIRST["price"])),
        ("price", None),
        ("pair", "BTC-USD"),
        ("time", "2031-01-01T00:00:00Z"),
        ("time", FIRST["time"].replace("Z", "+01:00")),
        ("time", FIRST["time"].replace("Z", "")),
        ("time", "\x1b[2J"),
        ("time", None),
        ("observedAt", "2031-01-01T00:00:00Z"),
        ("observedAt", 0),
    ],
)
def test_what_stands_beside_a_report_must_say_the_same(
    verify: Any, shape: str, field: str, value: Any
) -> None:
    code, said = verify(SHAPES[shape](show(0, **{field: value})))
    assert code == UNPROVEN
    assert f"NOT PROVEN {FIRST['id']}" in said
    assert f"column_mismatch: {field} is" in said
    assert repr(FIRST[field]) in said
    assert "\x1b" not in said


def test_one_moment_may_be_written_in_several_ways(verify: Any) -> None:
    moment = FIRST["time"].replace("Z", ".000+00:00")
    assert verify(json.dumps(show(0, time=moment)))[0] == PROVEN


@pytest.mark.parametrize("text", ["", "\n", "  \n \n"])
def test_nothing_at_all_is_not_proven(verify: Any, text: str) -> None:
    code, said = verify(text)
    assert code == UNCHECKED
    assert "could not check: standard input: nothing came" in said
    assert "curl -fsS" in said
    code, said = verify(text, "--json")
    assert code == UNCHECKED
    assert json.loads(said)["proven"] is None


@pytest.mark.parametrize("text", ['{"prices": [], "next": null}', "[]"])
def test_an_empty_list_has_nothing_to_prove_and_says_so(verify: Any, text: str) -> None:
    code, said = verify(text)
    assert code == PROVEN
    assert "there are no prices to prove" in said


REFUSAL = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "pair: 'XXX\x1b' given, allowed: ETH-USD",
    "parameter": "pair",
}


@pytest.mark.parametrize(
    "text", [json.dumps(REFUSAL), json.dumps(REFUSAL, indent=1), json.dumps([REFUSAL])]
)
def test_what_a_node_said_in_place_of_a_price_is_repeated(verify: Any, text: str) -> None:
    code, said = verify(text)
    assert code == UNCHECKED
    assert "in its place: Bad Request: pair: 'XXX ' given, allowed: ETH-USD" in said
    assert "required field" not in said


def test_a_missing_file_is_named_once_with_what_to_give_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "nofile.json")
    assert run(["verify", path]) == UNCHECKED
    said = capsys.readouterr().err
    assert said.count(path) == 1
    assert "there is no such file; give one of prices in JSON, or -" in said
    assert "Errno" not in said
    assert run(["verify", str(tmp_path)]) == UNCHECKED
    assert f"{tmp_path}: Is a directory" in capsys.readouterr().err


def test_a_database_that_is_not_there_is_named_with_what_may_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, place in (
        ("postgresql://u:secret@127.0.0.1:1/prices", "at 127.0.0.1:1 (Connection refused)"),
        (f"postgresql://u@/prices?host={tmp_path}", f"at the socket in {tmp_path} (No such file"),
    ):
        assert run(["verify", "--database", url]) == UNCHECKED
        said = capsys.readouterr().err
        assert f"could not check: no Postgres answers {place}" in said
        assert "(make run) is there only while that runs" in said
        assert "Errno" not in said
        assert "secret" not in said


def test_nothing_named_says_what_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == UNCHECKED
    assert (
        "give a FILE of prices in JSON, - for standard input, or --database URL"
        in capsys.readouterr().err
    )
