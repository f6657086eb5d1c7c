"""Every log line of the operator, ours and the libraries': one line an event, text or JSON.

The shape is that of a node's lines: `ts`, `level`, what happened, then fields. `network` (namespace
and name) is on each line that is about one network, so that its story can be followed.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

#: What our code gives as `extra`; libraries put other things there.
_FIELDS: Final = ("network",)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r"[^\s\"'=]+")


def configure_logs(
    format: Literal["text", "json"],  # noqa: A002 - the setting's own name, GPO_LOGFORMAT
    level: str,
    stream: TextIO,
) -> None:
    """Send every log line of this process to `stream`, from `level` on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf tells of each event that it hands on; we tell of what comes of them.
    if level != "debug":
        logging.getLogger("kopf").setLevel(logging.WARNING)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _list_fields(record)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _list_fields(record)
        ts, level, event = (fields.pop(name) for name in ("ts", "level", "event"))
        shown = [f"{name}={_show(value)}" for name, value in fields.items()]
        line = " ".join([ts, f"{level.upper():<7}", _escape(event), *shown])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _list_fields(record: logging.LogRecord) -> dict[str, str]:
    moment = datetime.fromtimestamp(record.created, UTC)
    given = {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
    return {
        "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        **given,
        "logger": record.name,
    }


def _show(value: str) -> str:
    text = _escape(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _escape(text: str) -> str:
    """Keep a line one line: what an API server answers must not look like a line of ours."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)
