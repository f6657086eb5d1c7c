"""What all commands have in common: their help, their usage, and how a mode is spelled."""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace

import pytest

from gossip_price.cli import COMMANDS, node, run
from gossip_price.cli.modes import add_mode
from gossip_price.network.document import Mode
from gossip_price.ports import ForeignJournalError, JournalError


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_says_its_summary_letter_by_letter(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([name, "--help"])
    assert ended.value.code == 0
    assert f"{COMMANDS[name][1:]}." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "words",
    [["up"], ["verify", "network.json"], ["keys", "show"], ["network", "next", "network.json"]],
)
def test_an_option_that_a_command_does_not_know_shows_that_commands_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([*words, "--bogus"])
    said = capsys.readouterr().err
    command = " ".join(word for word in words if "." not in word)
    assert ended.value.code == 2
    assert said.startswith(f"usage: gossip-price {command} ")
    assert said.endswith(f"gossip-price {command}: error: unrecognized arguments: --bogus\n")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("Rounds", Mode.ROUNDS),
        ("rounds", Mode.ROUNDS),
        ("EveryNode", Mode.EVERY_NODE),
        ("every-node", Mode.EVERY_NODE),
    ],
)
def test_a_mode_is_spelled_as_in_a_price_network_or_as_options_are(text: str, mode: Mode) -> None:
    parser = argparse.ArgumentParser()
    add_mode(parser, "by seed")
    assert parser.parse_args(["--mode", text]).mode is mode
    assert "--mode Rounds|EveryNode" in parser.format_help()


@pytest.mark.parametrize("command", [["up"], ["network", "new", "--folder", "x"], ["simulate"]])
def test_every_command_with_a_mode_says_which_there_are(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run([*command, "--mode", "100%"])
    said = capsys.readouterr().err
    assert "argument --mode: '100%' given, allowed: Rounds, EveryNode\n" in said


@pytest.mark.parametrize(
    ("error", "code"),
    [(ForeignJournalError("whose?"), 2), (JournalError("locked"), 1), (OSError("port taken"), 1)],
)
def test_a_node_tells_by_its_exit_code_whether_trying_again_could_help(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run_node(_settings: object) -> int:
        raise error

    word = SimpleNamespace(value="any")
    settings = SimpleNamespace(log_format=word, log_level=word)
    monkeypatch.setattr(node, "load_settings", lambda _environment, _config: settings)
    monkeypatch.setitem(sys.modules, "gossip_price.app", SimpleNamespace(run_node=run_node))
    monkeypatch.setattr("gossip_price.adapters.logs.configure_logs", lambda *_given: None)
    assert node.run(argparse.Namespace(config=None)) == code
    assert capsys.readouterr().err == f"{error}\n"
