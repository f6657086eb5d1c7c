"""The operator's log lines: one an event, with the network that it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gossip_price_operator.logs import configure_logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Give a stream, and give logging back to others as it was."""
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    kopf.setLevel(logging.NOTSET)


LOG = logging.getLogger("gossip_price_operator.workers")
ETH = {"network": "prices/eth", "color_message": "of a library"}


def test_a_line_as_text(stream: io.StringIO) -> None:
    configure_logs("text", "info", stream)
    LOG.warning("again in %.1f s: %s", 1.0, "403 forbidden\nINFO all is well", extra=ETH)
    ts, _, rest = stream.getvalue().partition(" ")
    assert ts.endswith("Z")
    assert rest == (
        "WARNING again in 1.0 s: 403 forbidden\\nINFO all is well network=prices/eth"
        " logger=gossip_price_operator.workers\n"
    )


def test_a_line_as_json_with_its_exception_is_one_line(stream: io.StringIO) -> None:
    configure_logs("json", "info", stream)
    try:
        raise ValueError("ours")
    except ValueError:
        LOG.exception("again", extra=ETH)
    LOG.debug("under the level")
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert (told["level"], told["event"], told["network"]) == ("error", "again", "prices/eth")
    assert "ValueError: ours" in told["exception"]
    assert "color_message" not in told


@pytest.mark.parametrize(("level", "lines"), [("info", 0), ("debug", 1)])
def test_kopf_tells_of_what_it_hands_on_only_to_who_debugs(
    stream: io.StringIO, level: str, lines: int
) -> None:
    configure_logs("text", level, stream)
    logging.getLogger("kopf.objects").info("Handler 'note_network' succeeded.")
    assert len(stream.getvalue().splitlines()) == lines
