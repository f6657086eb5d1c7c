"""What a node is told: GP_* variables and a YAML file → frozen Settings, or every problem at once.

The file (GP_CONFIG_FILE, or `--config`) holds the same names as the environment, which wins.
An empty value counts as not given. Names are exact: an unknown GP_* is refused with the nearest
known one, because a misspelt variable is a setting that somebody believes in. Secrets show in
no repr and no error. Knows nothing of libp2p, databases or the roster's rules.

docs/configuration.md is made from the class below (`settings_page`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    ValidationError,
)

from gossip_price.network.document import DAY_S, MEMBERS_MAX
from gossip_price.network.durations import format_duration, parse_duration
from gossip_price.network.epochs import EpochChain
from gossip_price.network.multiaddrs import check_dial, check_full, check_listen
from gossip_price.network.problems import (
    Problem,
    ProblemsError,
    collect_problems,
    get_field_names,
    make_hidden_error,
    suggest,
)
from gossip_price.network.source_mapping import SOURCES_MAX, parse_sources
from gossip_price.network.sources import PRESETS, Source
from gossip_price.network.spec_parts import Access
from gossip_price.network.strict_yaml import load_mapping

PREFIX: Final = "GP_"
CONFIG_FILE: Final = "GP_CONFIG_FILE"
DATABASE_URL: Final = "postgresql://user:password@host:port/database"
#: Kubernetes tells every pod of the Services in its namespace; one named `gp` looks like ours.
_SERVICE_LINK: Final = re.compile(
    r"GP_(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
)
#: A database URL, a config file: nothing that we read whole may be larger.
FILE_BYTES_MAX: Final = 1024 * 1024


class SettingsError(ProblemsError):
    """Settings that cannot be used; `problems` holds every reason. Exit code 2."""


class LogFormat(Enum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(Enum):
    """Log lines below this are not written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class HostPort(NamedTuple):
    """Where to listen; an IPv6 host without its brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as `host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("true or false")


def _parse_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("a list separated by commas")


def _parse_count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
        return int(value)
    raise ValueError("a whole number")


def _parse_host_port(value: object) -> HostPort:
    pattern = r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9.-]*)):(?P<port>\d{1,5})"
    match = re.fullmatch(pattern, value.strip(), re.ASCII) if isinstance(value, str) else None
    if match is None or int(match.group("port")) > 65535:
        raise ValueError("host:port such as 0.0.0.0:8080 or [::]:8080")
    host = match.group("six") or match.group("host") or "0.0.0.0"  # noqa: S104 - asked for, by :8080
    return HostPort(host, int(match.group("port")))


def _parse_database_url(value: object) -> SecretStr:
    # Before pydantic looks at it: pydantic's own errors repeat what was given.
    if not isinstance(value, str) or not _is_database_url(value):
        raise make_hidden_error(DATABASE_URL)
    return SecretStr(value)


def _is_database_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("postgresql", "postgres") and (parts.port or 1) > 0
    except ValueError:
        return False


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("a file that is there")
    return path


def _check_journal(path: Path) -> Path:
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError("a file in a folder that is there; the file is made if it is not")
    return path


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


ReadFile = Annotated[Path, AfterValidator(_check_file)]
Seconds = Annotated[int, BeforeValidator(parse_duration)]
Count = Annotated[int, BeforeValidator(_parse_count)]
List = BeforeValidator(_parse_list)


def _check_origin(text: str) -> str:
    """A browser compares origins as text: scheme, host, port where it is not the scheme's own."""
    parts = urlsplit(text)
    is_origin = parts.scheme in ("http", "https") and parts.netloc
    if text != "*" and (not is_origin or text != f"{parts.scheme}://{parts.netloc}".lower()):
        raise ValueError("* or http(s)://host[:port], in lower case and without a path")
    return text


class Settings(BaseModel):
    """A node's settings. Made by `load_settings`; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    bootstrap: Annotated[bool, BeforeValidator(_parse_bool)] = Field(
        default=False,
        alias="GP_BOOTSTRAP",
        description="this node introduces newcomers and never signs",
    )
    database_url: Annotated[SecretStr | None, BeforeValidator(_parse_database_url)] = Field(
        default=None,
        alias="GP_DATABASEURL",
        description="Postgres, `postgresql://…`; without it the node signs and never writes",
    )
    database_url_file: ReadFile | None = Field(
        default=None,
        alias="GP_DATABASEURL_FILE",
        description="a file with that URL (a mounted Secret), read again at every reconnect;"
        " instead of GP_DATABASEURL",
    )
    connection_addr: Annotated[StrictStr, AfterValidator(check_listen)] = Field(
        default="/ip4/0.0.0.0/tcp/8000",
        alias="GP_CONNECTIONADDR",
        description="multiaddress to listen on for peers; port 0 takes a free one",
    )
    announce_addr: Annotated[tuple[Annotated[StrictStr, AfterValidator(check_dial)], ...], List] = (
        Field(
            default=(),
            alias="GP_ANNOUNCEADDR",
            description="multiaddresses at which others reach us, with commas between; left out,"
            " those we listen on",
        )
    )
    bootstrap_addr: Annotated[
        tuple[Annotated[StrictStr, AfterValidator(check_full)], ...], List
    ] = Field(
        default=(),
        alias="GP_BOOTSTRAPADDR",
        description="multiaddresses of bootstrap nodes with `/p2p/<peer id>`, with commas between",
    )
    minimum_signer_count: Annotated[Count, Field(ge=1, le=MEMBERS_MAX)] | None = Field(
        default=None,
        alias="GP_MINIMUMSIGNERCOUNT",
        description="the network document decides; where this contradicts it, the node refuses to"
        " start",
    )
    fetch_price_interval_s: Annotated[Seconds, Field(ge=1, le=DAY_S)] | None = Field(
        default=None,
        alias="GP_FETCHPRICEINTERVAL",
        description="likewise, for the length of a round: `10m`, `30s` or seconds",
    )
    network_file: ReadFile = Field(
        alias="GP_NETWORK_FILE", description="the network's epochs and peers (JSON)"
    )
    signing_key_file: ReadFile | None = Field(
        default=None,
        alias="GP_SIGNINGKEY_FILE",
        description="the key that signs prices; a member needs it",
    )
    identity_key_file: ReadFile = Field(
        alias="GP_IDENTITYKEY_FILE", description="the key of our libp2p peer id"
    )
    journal_file: Annotated[Path, AfterValidator(_check_journal)] | None = Field(
        default=None,
        alias="GP_JOURNAL_FILE",
        description="what this node must not forget (SQLite); required unless GP_BOOTSTRAP",
    )
    http_addr: Annotated[HostPort, BeforeValidator(_parse_host_port)] = Field(
        default=HostPort("0.0.0.0", 8080),  # noqa: S104 - probes come from outside the pod
        alias="GP_HTTPADDR",
        description="where probes, metrics and API are served; port 0 takes a free one",
    )
    cors_origins: Annotated[
        tuple[Annotated[StrictStr, AfterValidator(_check_origin)], ...], List
    ] = Field(
        default=(),
        alias="GP_CORSORIGINS",
        description="origins whose pages may read the API in a browser, as `https://example.com`,"
        " with commas between; `*` are all; none by default",
    )
    sources: Annotated[tuple[Source, ...], BeforeValidator(parse_sources)] = Field(
        default=(PRESETS["coinbase"],),
        alias="GP_SOURCES",
        description=f"presets ({', '.join(PRESETS)}) with commas between, or a JSON list of"
        " {name, url, path, timePath, timeUnit, aliases, echoes, simulated}, as in a PriceNetwork",
    )
    min_sources: Annotated[Count, Field(ge=1, le=SOURCES_MAX)] = Field(
        default=1, alias="GP_MINSOURCES", description="fewer good answers mean no observation"
    )
    source_timeout_s: Annotated[Seconds, Field(ge=1, le=60)] = Field(
        default=5, alias="GP_SOURCE_TIMEOUT", description="one request to a source may take this"
    )
    source_max_age_s: Annotated[Seconds, Field(ge=1, le=DAY_S)] = Field(
        default=60, alias="GP_SOURCE_MAXAGE", description="older prices are no observation"
    )
    access: Access = Field(
        default=Access.PRIVATE,
        alias="GP_ACCESS",
        description="`Private`: only listed peer ids connect; `Open`: anyone may listen",
    )
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default=LogFormat.TEXT, alias="GP_LOGFORMAT", description="`text` or `json`"
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default=LogLevel.INFO,
        alias="GP_LOGLEVEL",
        description="`debug`, `info`, `warning` or `error`",
    )

    def read_database_url(self) -> str | None:
        """Return the database's URL, or None; a file is read anew each time.

        Raises SettingsError, which never repeats the URL.
        """
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.database_url_file is None:
            return None
        text = _read_text("GP_DATABASEURL_FILE", self.database_url_file).strip()
        if not _is_database_url(text):
            raise SettingsError(
                [
                    Problem(
                        "GP_DATABASEURL_FILE",
                        str(self.database_url_file),
                        f"a file that holds {DATABASE_URL}",
                    )
                ]
            )
        return text


def load_settings(environ: Mapping[str, str], config_file: Path | None = None) -> Settings:
    """Read the settings from `environ` and, beneath it, from a YAML file.

    The file is `config_file`, or else what GP_CONFIG_FILE names. Raises SettingsError with every
    problem.
    """
    given = {
        name: text
        for name, text in environ.items()
        if name.startswith(PREFIX) and text and not _SERVICE_LINK.fullmatch(name)
    }
    named = given.pop(CONFIG_FILE, None)
    path = config_file or (Path(named) if named else None)
    values: dict[str, Any] = {}
    if path is not None:
        from_file = _read_config(path)
        values = {name: value for name, value in from_file.items() if value not in (None, "")}
    values |= given
    known = get_field_names(Settings)
    problems = [
        Problem(name, "an unknown name", suggest(name, [*known, CONFIG_FILE]))
        for name in values
        if name not in known
    ]
    values = {name: value for name, value in values.items() if name in known}
    settings = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += collect_problems(error, Settings)
    problems += _find_contradictions(values)
    if settings is not None and not problems:
        problems += _find_file_problems(settings)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def _find_contradictions(values: Mapping[str, Any]) -> Iterable[Problem]:
    """Return what no setting can know alone. `values` are as given, not yet judged."""
    if "GP_DATABASEURL" in values and "GP_DATABASEURL_FILE" in values:
        yield Problem("GP_DATABASEURL_FILE", None, "only one of it and GP_DATABASEURL")
    try:
        bootstrap = _parse_bool(values.get("GP_BOOTSTRAP", False))
    except ValueError:
        return
    if not bootstrap and "GP_JOURNAL_FILE" not in values:
        yield Problem(
            "GP_JOURNAL_FILE",
            None,
            "it is required, unless GP_BOOTSTRAP is true",
            is_sentence=True,
        )
    try:
        sources = parse_sources(values.get("GP_SOURCES", "coinbase"))
        least = _parse_count(values.get("GP_MINSOURCES", 1))
    except ValueError:
        return
    if least > len(sources):
        yield Problem(
            "GP_MINSOURCES", str(least), f"at most the number of sources ({len(sources)})"
        )


def _find_file_problems(settings: Settings) -> Iterable[Problem]:
    try:
        settings.read_database_url()
    except SettingsError as error:
        yield from error.problems


def _read_text(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        if len(raw) <= FILE_BYTES_MAX:
            return raw.decode()
        reason = f"more than {FILE_BYTES_MAX} bytes"
    except OSError as error:
        reason = error.strerror or "unreadable"
    except UnicodeDecodeError:
        reason = "not UTF-8"
    raise SettingsError([Problem(name, f"{path} ({reason})", "a readable text file")])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        loaded = load_mapping(_read_text(CONFIG_FILE, path))
    except SettingsError:
        raise
    except ProblemsError as error:
        raise SettingsError(problem.within(str(path)) for problem in error.problems) from None
    return {str(name): value for name, value in loaded.items()}


def check_against(settings: Settings, chain: EpochChain, now_s: int) -> None:
    """Raise SettingsError where the environment contradicts the epoch in force.

    Before the first epoch starts it is the newest that counts. What is left out cannot
    contradict.
    """
    document = chain.get_in_force(now_s) or chain.newest
    where = f"or nothing at all: epoch {document.epoch} of the network document says so"
    problems = []
    minimum, interval = settings.minimum_signer_count, settings.fetch_price_interval_s
    if minimum not in (None, document.minimum_signers):
        allowed = f"{document.minimum_signers}, {where}"
        problems.append(Problem("GP_MINIMUMSIGNERCOUNT", str(minimum), allowed))
    if interval is not None and interval != document.interval:
        allowed = f"{format_duration(document.interval)}, {where}"
        problems.append(Problem("GP_FETCHPRICEINTERVAL", format_duration(interval), allowed))
    if problems:
        raise SettingsError(problems)
