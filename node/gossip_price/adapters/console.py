"""The live log of `up`: what several nodes say of the same thing, told once, for people.

Each node writes JSON lines of its own and most of them say what another has said already. The
`LiveLog` keeps the story of each report by its id and tells a chapter when it is new. The
`JsonLog` tells everything, as JSON. Decides nothing and knows no process: it is given lines.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Protocol

from rich.console import Console
from rich.text import Text

from gossip_price.network.keys import shorten

#: Stories and things said once that are remembered; the oldest leave first.
REMEMBERED_MAX: Final = 4_096
#: The same warning of the same node is not repeated within this time.
REPEAT_S: Final = 60.0
#: Our own name beside the children's.
SELF: Final = "up"

_WARN, _BAD, _GOOD, _DIM = "yellow", "bold red", "green", "dim"
#: The chapters of a report's story.
_CHAPTERS: Final = frozenset({"proposed", "cosigned", "proven", "settled", "stored"})
#: Each node says it in its own log; here the banner has said it for all of them.
_SAID_BY_BANNER: Final = frozenset({"simulated_prices"})
#: Shown as a warning, with what it means to somebody who has not read the source.
_TROUBLE: Final[Mapping[str, tuple[str, str]]] = {
    "not_observed": (_WARN, "has no price of its own"),
    "withheld": (_WARN, "withholds its signature"),
    "equivocation": (_BAD, "saw a member sign two prices of one round"),
    "poison": (_BAD, "the database refuses a row"),
    "clock_stepped": (_WARN, "the clock has jumped"),
    "journal_failed": (_BAD, "the journal takes nothing, so nothing is signed"),
    "journal_recovered": (_GOOD, "the journal takes records again"),
    "rejected": (_WARN, "rejected a message"),
}


class Log(Protocol):
    """Where everything goes that `up` shows while it runs."""

    def read(self, name: str, line: str) -> None:
        """Take a line that the child `name` has printed."""

    def say(self, event: str, text: str, *, style: str = "", **fields: object) -> None:
        """Tell of something of our own: `text` for people, event and fields for machines."""


@dataclass
class _Story:
    """What has been told of one report."""

    pair: str
    round: int
    proposer: str = ""
    price: str = ""
    told: set[str] = field(default_factory=set)
    count: int = 1
    began_here: bool = False
    """Whether we heard it before it was proven. If not, it is of an earlier run."""


class LiveLog:
    """One line a new event, in the words of the design.

    `members` gives a member's name by address (EIP-55), and `labels` what people see in place of a
    name, which may change; `clock` gives Unix seconds; `zone` is that of the times shown (None:
    this machine's).
    """

    def __init__(
        self,
        console: Console,
        members: Mapping[str, str],
        labels: Mapping[str, str],
        clock: Callable[[], float],
        zone: tzinfo | None = None,
    ) -> None:
        self._console = console
        self._members = members
        self._labels = labels
        self._clock = clock
        self._zone = zone
        self._stories: OrderedDict[str, _Story] = OrderedDict()
        self._rounds: OrderedDict[tuple[str, int], set[str]] = OrderedDict()
        self._said: OrderedDict[tuple[object, ...], float] = OrderedDict()
        self._without_store: set[str] = set()

    def say(self, event: str, text: str, *, style: str = "", **fields: object) -> None:  # noqa: ARG002 # for JSON
        """Print `text` under the time it is now."""
        self._print(Text(text, style=style))

    def read(self, name: str, line: str) -> None:
        """Tell what is new in a child's line; what is no JSON is shown as it is."""
        name = self._labels.get(name, name)
        fields = parse_fields(line)
        if fields is None:
            if line.strip():
                self._print(Text.assemble((f"{name} | ", _DIM), clean(line)))
            return
        event = str(fields.get("event", ""))
        if event in _SAID_BY_BANNER:
            return
        if event in _CHAPTERS:
            self._tell(name, event, fields)
        elif event in ("store_down", "store_up"):
            self._tell_of_store(name, event, fields)
        elif event == "round_lost":
            self._tell_of_lost_round(fields)
        elif event in _TROUBLE:
            self._tell_of_trouble(name, event, fields)
        elif str(fields.get("level", "")).lower() in ("warning", "error", "critical"):
            self._warn_of_unknown(name, event, fields)

    def _tell(self, name: str, event: str, fields: Mapping[str, Any]) -> None:
        story = self._get_story(fields)
        if story is None:
            return
        story.proposer = story.proposer or self._name(fields.get("proposer", ""))
        story.price = _shorten_price(str(fields.get("price") or story.price))
        if event == "proposed":
            story.proposer = self._name(fields.get("member", "")) or name
        chapter = self._find_chapter(event, story, name, fields)
        if chapter is None:
            return
        text, style = chapter
        line = Text.assemble(
            (story.pair, "bold"), f"  round {self._format_time(story.round)}  ", (text, style)
        )
        if event != "proposed" and len(self._rounds.get((story.pair, story.round), ())) > 1:
            line.append(f"  ({story.price} by {story.proposer or '?'})", style=_DIM)
        self._print(line)

    def _get_story(self, fields: Mapping[str, Any]) -> _Story | None:
        id_ = str(fields.get("id", ""))
        round_ = fields.get("round")
        if not id_ or not isinstance(round_, int):
            return None
        if id_ not in self._stories:
            story = _Story(clean(str(fields.get("pair", ""))), round_)
            self._stories[id_] = story
            self._rounds.setdefault((story.pair, round_), set()).add(id_)
            _trim(self._stories)
            _trim(self._rounds)
        return self._stories[id_]

    def _find_chapter(
        self, event: str, story: _Story, name: str, fields: Mapping[str, Any]
    ) -> tuple[str, str] | None:
        """Return text and style of what is new in the story, or None where nothing is."""
        count, needed = _get_integer(fields, "count"), _get_integer(fields, "needed")
        if event in ("proposed", "proven") or (event == "cosigned" and count <= needed):
            story.began_here = True
        elif event != "stored" and not story.began_here:
            # A node that starts again tells how what it finds in its journal went on.
            story.count = max(story.count, count)
            return None
        if event == "cosigned":
            # The one that makes it proven is told as that; one is the proposer's own.
            if count <= story.count or count == needed:
                return None
            story.count = count
            if count < needed:
                return f"co-signed {count}/{needed}", ""
            return f"co-signed {count}/{max(count, len(self._members))}", _GOOD
        if event in story.told:
            return None
        story.told.add(event)
        if event == "proposed":
            return f"proposed {story.price} by {story.proposer}", ""
        if event == "proven":
            story.count = max(story.count, count)
            return f"proven {count}/{needed}", _GOOD
        if event == "settled":
            return f"settled after {_get_integer(fields, 'ms') / 1000:.1f} s", ""
        writer = self._name(fields.get("member", "")) or name
        return f"stored by {writer}, {count or story.count} signatures", "bold green"

    def _tell_of_store(self, name: str, event: str, fields: Mapping[str, Any]) -> None:
        """Tell when the first node loses the database and when the last has it again."""
        if event == "store_down":
            if not self._without_store:
                reason = clean(str(fields.get("reason", "")))
                text = f"{name}: no database ({reason}); prices wait in the journals"
                self._print(Text(text, style=_BAD))
            self._without_store.add(name)
        elif name in self._without_store:
            self._without_store.discard(name)
            if not self._without_store:
                self._print(Text("the database answers every node again", style=_GOOD))

    def _tell_of_lost_round(self, fields: Mapping[str, Any]) -> None:
        pair, round_ = clean(str(fields.get("pair", ""))), _get_integer(fields, "round")
        if self._is_new("round_lost", pair, round_):
            reason = clean(str(fields.get("reason", ""))) or "not enough signatures"
            text = f"{pair}  round {self._format_time(round_)}  lost: {reason}"
            self._print(Text(text, style=_WARN))

    def _tell_of_trouble(self, name: str, event: str, fields: Mapping[str, Any]) -> None:
        style, words = _TROUBLE[event]
        reason = clean(str(fields.get("reason", "")))
        if self._is_new(name, event, reason):
            self._print(Text(f"{name}: {words}" + (f" ({reason})" if reason else ""), style=style))

    def _warn_of_unknown(self, name: str, event: str, fields: Mapping[str, Any]) -> None:
        rest = " ".join(
            f"{key}={clean(str(value))}"
            for key, value in fields.items()
            if key not in ("ts", "level", "event", "exception")
        )
        if self._is_new(name, event, rest):
            self._print(Text(f"{name}: {clean(event)} {rest}".rstrip(), style=_WARN))
            for line in str(fields.get("exception") or "").splitlines():
                self._print(Text.assemble((f"{name} | ", _DIM), clean(line)))

    def _is_new(self, *key: object) -> bool:
        now = self._clock()
        said = self._said.get(key)
        if said is not None and now - said < REPEAT_S:
            return False
        self._said[key] = now
        self._said.move_to_end(key)
        _trim(self._said)
        return True

    def _name(self, address: object) -> str:
        text = str(address)
        if text in self._members:
            name = self._members[text]
            return self._labels.get(name, name)
        return shorten(text) if text else ""

    def _format_time(self, unix_s: float) -> str:
        return datetime.fromtimestamp(unix_s, self._zone).strftime("%H:%M:%S")

    def _print(self, text: Text) -> None:
        line = Text.assemble((self._format_time(self._clock()), _DIM), "  ", text)
        self._console.print(line, soft_wrap=True)


class JsonLog:
    """Each child's line with a `node` field, and our own events in the same form."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock

    def read(self, name: str, line: str) -> None:
        """Pass a line on; what is no JSON becomes an event `output`."""
        fields = parse_fields(line)
        if fields is not None:
            self._put({"node": name, **fields})
        elif line.strip():
            self._put(self._stamp(name, "output", {"line": line}))

    def say(self, event: str, text: str, *, style: str = "", **fields: object) -> None:  # noqa: ARG002 # for people
        """Write an event of our own."""
        self._put(self._stamp(SELF, event, fields or {"message": text}))

    def _stamp(self, name: str, event: str, fields: Mapping[str, object]) -> dict[str, object]:
        moment = datetime.fromtimestamp(self._clock(), UTC)
        time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"node": name, "ts": time, "level": "info", "event": event, **fields}

    def _put(self, fields: Mapping[str, object]) -> None:
        self._write(json.dumps(fields, ensure_ascii=False) + "\n")


def parse_fields(line: str) -> dict[str, Any] | None:
    """Return a log line's fields, or None if it is no JSON object."""
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def clean(text: str) -> str:
    """Return `text` without what would steer a terminal: a reason may quote a stranger."""
    return "".join(letter if letter.isprintable() else "�" for letter in text.expandtabs())


def _shorten_price(text: str) -> str:
    """Return a price without the zeros that only its number of decimals put there."""
    whole, point, part = clean(text).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}" if point else whole


def _get_integer(fields: Mapping[str, Any], key: str) -> int:
    value = fields.get(key)
    return value if isinstance(value, int) else 0


def _trim(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)
