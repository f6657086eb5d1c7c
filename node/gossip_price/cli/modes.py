"""`--mode` of every command that takes one, spelled as a PriceNetwork spells it."""

from __future__ import annotations

import argparse
from typing import Final

from gossip_price.network.document import Mode

_MODES: Final = {mode.value.lower(): mode for mode in Mode}


def add_mode(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--mode`, spelled as in a PriceNetwork; `default` says what holds without it."""
    names = "|".join(mode.value for mode in Mode)
    parser.add_argument("--mode", type=_read_mode, metavar=names, help=f"who proposes ({default})")


def _read_mode(text: str) -> Mode:
    """Return the mode; however its letters are written, and with a hyphen as other options."""
    mode = _MODES.get(text.replace("-", "").lower())
    if mode is None:
        allowed = ", ".join(mode.value for mode in Mode)
        raise argparse.ArgumentTypeError(f"{text!r} given, allowed: {allowed}")
    return mode
