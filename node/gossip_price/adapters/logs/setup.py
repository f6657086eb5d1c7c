"""One formatter for every line of the process, ours and the libraries': text or JSON.

Knows nothing of prices; bytes in a field are an address (20) or an id (any other length). Text
shows the first eight digits of an id, JSON all of it: what one shows is the beginning of what the
other, an API or a table shows. Addresses and peer ids are always whole.
Passwords in database URLs never get through, wherever in a line they stand.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from gossip_price.network.keys import format_address

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
#: Libraries whose everyday lines (requests, connections, streams) say nothing to our readers.
_QUIET: Final = ("httpx", "httpcore", "uvicorn", "asyncio", "multiaddr", "zeroconf")
#: Fields that our code on the standard library's logger gives as `extra`; libraries put other
#: things there.
_EXTRA: Final = ("peer", "reason", "for_s")

#: A password goes on to the last @ of the word: one that holds an unescaped @ is hidden whole.
_URL_PASSWORD = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^\s:/@]*):\S*@", re.IGNORECASE)
_PASSWORD_FIELD = re.compile(
    r"""((?:ssl)?password["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&,;'")}]+)""", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r"[^\s\"'=]+")


def configure_logs(
    format: Literal["text", "json"],  # noqa: A002 - the option's own name, --log-format
    level: str,
    stream: TextIO,
    *,
    now_s: Callable[[], float] = time.time,
) -> None:
    """Send every log line of this process to `stream`, from `level` (`debug` … `critical`) on.

    May be called again; the last call holds. Raises ValueError for another format or level.
    """
    if format not in ("text", "json"):
        raise ValueError(f"log format: {format!r} given, allowed: text, json")
    if level.lower() not in _LEVELS:
        raise ValueError(f"log level: {level!r} given, allowed: {', '.join(_LEVELS)}")
    number = getattr(logging, level.upper())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=_EXTRA),
            ],
            processors=[
                _make_time_stamper(now_s),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_fields,
                _render_json if format == "json" else _render_text,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    logging.captureWarnings(True)
    for name in _QUIET:
        logger = logging.getLogger(name)
        logger.setLevel(max(number, logging.WARNING))
        logger.handlers.clear()
        logger.propagate = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def redact(text: str) -> str:
    """Return `text` without the passwords of database URLs and of `password=` settings."""
    return _PASSWORD_FIELD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", text))


def _make_time_stamper(
    now_s: Callable[[], float],
) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def stamp(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(now_s(), UTC)
        fields["ts"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return fields

    return stamp


def _redact_fields(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    return {
        # A field of its own that is named for a secret is one, whatever it looks like.
        name: "***" if "password" in name.lower() else _redact_value(value)
        for name, value in fields.items()
    }


def _redact_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | bytes):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value  # NaN and Infinity become text: they are no JSON
    if isinstance(value, Mapping):
        return {str(key): _redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    return redact(str(value))


def _render_json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    first = {name: fields.pop(name) for name in ("ts", "level", "event")}
    return json.dumps({**first, **fields}, default=_show_bytes, ensure_ascii=False)


def _render_text(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    ts, level, event = (fields.pop(name) for name in ("ts", "level", "event"))
    trace = fields.pop("exception", "")
    if "count" in fields and "needed" in fields:
        fields["signers"] = f"{fields.pop('count')}/{fields.pop('needed')}"
    shown = [f"{name}={_show_text(value)}" for name, value in fields.items()]
    line = " ".join([ts, f"{level.upper():<7}", _escape(f"{event:<12}"), *shown]).rstrip()
    return f"{line}\n{trace}" if trace else line


def _show_text(value: Any) -> str:
    if isinstance(value, bytes):
        whole = _show_bytes(value)
        return whole if len(value) == 20 else whole[:10]
    text = _escape(str(value))
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _show_bytes(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    return format_address(value) if len(value) == 20 else "0x" + value.hex()


def _escape(text: str) -> str:
    """Keep a line one line: what a peer wrote must not look like a line of ours."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)
