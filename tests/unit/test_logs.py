from __future__ import annotations

import ast
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from gossip_price.adapters.logs import NoteLogger, configure_logs, format_price, redact
from gossip_price.core.events import Note, NoteKind
from networks import make_network
from world import World

ID = bytes.fromhex("0badcafe") + bytes(28)
#: The first address of EIP-55's examples.
MEMBER = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
MEMBER_TEXT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

Lines = Callable[[], list[str]]


class Mono:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Give a stream, and give logging back to others as it was."""
    root = logging.getLogger()
    handlers, level, show = root.handlers[:], root.level, warnings.showwarning
    yield io.StringIO()
    logging.captureWarnings(False)
    warnings.showwarning = show
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("httpx", "httpcore", "uvicorn", "asyncio", "multiaddr", "zeroconf"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def configure(stream: io.StringIO, format_: str = "json", level: str = "debug") -> None:
    configure_logs(format_, level, stream, now_s=lambda: 1_700_000_000.1234)  # type: ignore[arg-type]  # also wrong ones


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


PROVEN = Note(
    NoteKind.PROVEN,
    pair="ETH-USD",
    round=1_699_999_995,
    id=ID,
    member=MEMBER,
    price=300112,
    decimals=2,
    count=3,
    needed=3,
)


def test_a_note_is_one_json_object_with_whole_ids_and_exact_prices(stream: io.StringIO) -> None:
    configure(stream)
    NoteLogger().observe(PROVEN)
    assert read(stream) == [
        {
            "ts": "2023-11-14T22:13:20.123Z",
            "level": "info",
            "event": "proven",
            "pair": "ETH-USD",
            "round": 1_699_999_995,
            "id": "0x" + ID.hex(),
            "price": "3001.12",
            "member": MEMBER_TEXT,
            "count": 3,
            "needed": 3,
        }
    ]


def test_a_note_is_one_readable_line_of_text(stream: io.StringIO) -> None:
    configure(stream, "text")
    NoteLogger().observe(PROVEN)
    assert stream.getvalue() == (
        "2023-11-14T22:13:20.123Z INFO    proven       pair=ETH-USD round=1699999995 "
        f"id=0x0badcafe price=3001.12 member={MEMBER_TEXT} signers=3/3\n"
    )


@pytest.mark.parametrize("kind", NoteKind)
@pytest.mark.parametrize("format_", ["text", "json"])
def test_every_kind_of_note_has_a_line(stream: io.StringIO, kind: NoteKind, format_: str) -> None:
    configure(stream, format_)
    NoteLogger().observe(Note(kind, reason="why", count=1, ms=-5))
    assert stream.getvalue().count("\n") == 1
    assert kind.value in stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (NoteKind.COSIGNED, "info"),
        (NoteKind.PUBLISHED, "debug"),
        (NoteKind.ROUND_LOST, "warning"),
        (NoteKind.STORE_DOWN, "warning"),
        (NoteKind.EQUIVOCATION, "error"),
        (NoteKind.JOURNAL_FAILED, "error"),
    ],
)
def test_the_level_says_how_bad_it_is(stream: io.StringIO, kind: NoteKind, level: str) -> None:
    configure(stream)
    NoteLogger().observe(Note(kind))
    assert read(stream)[0]["level"] == level


def test_what_is_under_the_level_is_not_written(stream: io.StringIO) -> None:
    configure(stream, level="warning")
    NoteLogger().observe(PROVEN)
    logging.getLogger("gossip_price").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (NoteKind.STORE_DOWN, NoteKind.STORE_UP),
        (NoteKind.JOURNAL_FAILED, NoteKind.JOURNAL_RECOVERED),
    ],
)
def test_trouble_is_told_once_at_its_start_and_once_at_its_end(
    stream: io.StringIO, down: NoteKind, up: NoteKind
) -> None:
    configure(stream)
    mono = Mono()
    logger = NoteLogger(mono)
    for kind in (down, down, down, up, up, down):
        logger.observe(Note(kind))
        mono.now_s += 20.0
    lines = read(stream)
    assert [line["event"] for line in lines] == [down.value, up.value, down.value]
    assert lines[1]["after_s"] == 60.0


def test_a_flood_of_one_reason_is_one_line_a_minute_with_a_count(stream: io.StringIO) -> None:
    configure(stream)
    mono = Mono()
    logger = NoteLogger(mono)
    for _ in range(100):
        logger.observe(Note(NoteKind.IGNORED, reason="stale", author="16Uiu2"))
    logger.observe(Note(NoteKind.IGNORED, reason="unknown_epoch"))
    mono.now_s += 60.0
    logger.observe(Note(NoteKind.IGNORED, reason="stale"))
    logger.observe(Note(NoteKind.IGNORED, reason="stale"))
    logger.flush()
    assert [(line["reason"], line.get("repeated")) for line in read(stream)] == [
        ("stale", None),
        ("unknown_epoch", None),
        ("stale", 99),
        ("stale", 1),
    ]


def test_invented_reasons_do_not_grow_our_memory(stream: io.StringIO) -> None:
    configure(stream)
    logger = NoteLogger(Mono())
    for number in range(10_000):
        logger.observe(Note(NoteKind.REJECTED, reason=f"r{number}"))
    assert len(read(stream)) <= 130


def test_the_libraries_lines_go_through_the_same_formatter(stream: io.StringIO) -> None:
    configure(stream)
    logging.getLogger("alembic.runtime").info("Running upgrade %s -> %s", "a", "b")
    assert read(stream) == [
        {
            "ts": "2023-11-14T22:13:20.123Z",
            "level": "info",
            "event": "Running upgrade a -> b",
            "logger": "alembic.runtime",
        }
    ]


def test_the_request_lines_of_http_libraries_are_silenced_and_their_errors_are_not(
    stream: io.StringIO,
) -> None:
    configure(stream)
    logging.getLogger("httpx").info("HTTP Request: GET https://…")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert [line["event"] for line in read(stream)] == ["Exception in ASGI application"]


@pytest.mark.parametrize("format_", ["text", "json"])
def test_an_exception_is_logged_whole_and_without_its_password(
    stream: io.StringIO, format_: str
) -> None:
    configure(stream, format_)
    try:
        raise OSError("cannot reach postgresql://node:hunter2@db:5432/prices")
    except OSError:
        logging.getLogger("gossip_price").exception("supervised")
    assert "hunter2" not in stream.getvalue()
    assert "postgresql://node:***@db:5432/prices" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert (stream.getvalue().count("\n") == 1) is (format_ == "json")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("to postgres://u:p:q/r@s@h:1/d failed", "to postgres://u:***@h:1/d failed"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:***@h/d"),
        ("POSTGRES://:p@h/d", "POSTGRES://:***@h/d"),
        ("postgresql://u@h/d?password=p&x=1", "postgresql://u@h/d?password=***&x=1"),
        ("host=h password='p q' user=u", "host=h password=*** user=u"),
        ("{'password': 'p', 'user': 'u'}", "{'password': ***, 'user': 'u'}"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("password authentication failed", "password authentication failed"),
        ("http://example/a@b", "http://example/a@b"),
    ],
)
def test_passwords_are_redacted_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_passwords_hide_in_no_field_however_deep(stream: io.StringIO) -> None:
    configure(stream)
    url = "postgresql://u:hunter2@h/d"
    structlog.stdlib.get_logger("x").info(
        "connecting", url=url, error=OSError(url), nested={"urls": [url]}, password="hunter2"
    )
    assert "hunter2" not in stream.getvalue()


def test_what_a_stranger_wrote_cannot_pose_as_a_line_of_ours(stream: io.StringIO) -> None:
    configure(stream, "text")
    logging.getLogger("x").warning("bad\n2023 INFO stored\x1b[31m")
    NoteLogger().observe(Note(NoteKind.REJECTED, reason="a\nb", author="c\u2028d"))
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_values_that_json_has_not_are_written_all_the_same(stream: io.StringIO) -> None:
    configure(stream)
    structlog.stdlib.get_logger("x").info("odd", number=float("nan"), raw=b"\x01\x02", kind=object)
    line = read(stream)[0]
    assert (line["number"], line["raw"]) == ("nan", "0x0102")


@pytest.mark.parametrize(
    ("price", "decimals", "shown"),
    [(300112, 2, "3001.12"), (5, 2, "0.05"), (7, 0, "7"), (1, 18, "0." + "0" * 17 + "1")],
)
def test_a_price_is_written_exactly(price: int, decimals: int, shown: str) -> None:
    assert format_price(price, decimals) == shown


@pytest.mark.parametrize(
    ("format_", "level", "message"),
    [("xml", "info", "'xml' given, allowed: text, json"), ("json", "loud", "'loud' given")],
)
def test_an_unknown_format_or_level_is_refused(
    stream: io.StringIO, format_: str, level: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        configure(stream, format_, level)


def test_what_the_standard_loggers_of_ours_add_are_fields_and_what_libraries_add_is_not(
    stream: io.StringIO,
) -> None:
    configure(stream, "text")
    extra = {"peer": "16Uiu2HAm", "reason": "a b", "color_message": "\x1b[31mred"}
    logging.getLogger("gossip_price.adapters.libp2p.node").warning("peer_refused", extra=extra)
    assert stream.getvalue() == (
        "2023-11-14T22:13:20.123Z WARNING peer_refused logger=gossip_price.adapters.libp2p.node"
        ' peer=16Uiu2HAm reason="a b"\n'
    )


def test_a_price_can_be_followed_from_its_proposal_to_the_database_by_its_id(
    stream: io.StringIO,
) -> None:
    world = World(make_network(4), latency_ms=100)
    world.run_rounds(3)
    configure(stream)
    logger = NoteLogger(Mono())
    for node in world.nodes:
        for note in node.notes:
            logger.observe(note)
    first = next(line for line in read(stream) if line["event"] == "proposed")
    story = [line["event"] for line in read(stream) if line.get("id") == first["id"]]
    assert set(story) == {
        "proposed",
        "signed",
        "cosigned",
        "proven",
        "settled",
        "stored",
        "receipt",
    }
    assert (story.count("proposed"), story.count("signed"), story.count("stored")) == (1, 3, 1)


def test_text_shows_of_an_id_the_beginning_of_what_json_shows(stream: io.StringIO) -> None:
    configure(stream)
    NoteLogger().observe(PROVEN)
    whole = str(read(stream)[0]["id"])
    configure(stream, "text")
    NoteLogger().observe(PROVEN)
    shown = re.search(r" id=(\S+)", stream.getvalue())
    assert shown is not None
    assert whole.startswith(shown.group(1))


#: A word or some, joined by underscores.
_EVENT = re.compile(r"[a-z]+[a-z0-9]*(_[a-z0-9]+)*")


def test_every_event_that_a_node_logs_is_a_word_and_what_it_is_about_are_fields() -> None:
    # Debug lines are free: they are for us.
    calls = []
    for file in (Path(__file__).parents[2] / "node").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name("log") | ast.Attribute(attr="_log"),
                        attr="info" | "warning" | "error" | "exception",
                    ),
                    args=[ast.Constant(str(event)), *more],
                ):
                    calls.append((file.name, event, more))
    assert len(calls) > 10
    assert [call for call in calls if not _EVENT.fullmatch(call[1]) or call[2]] == []
