"""What the operator is told by its environment. All problems at once, by name."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gossip_price.network.durations import parse_duration
from gossip_price.network.planner import LEAD_S
from gossip_price.network.problems import Problem, ProblemsError, suggest
from gossip_price_operator.inputs import RUNBOOKS, Defaults
from gossip_price_operator.workers import Pace

PREFIX: Final = "GPO_"
#: Each name with what it is; the documentation is made from it.
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "GPO_NODE_IMAGE": "image of nodes and bootstraps where a spec names none; required",
    "GPO_POSTGRES_IMAGE": "image of a managed Postgres where a spec names none (postgres:17)",
    "GPO_IMAGE_PULL_POLICY": "`IfNotPresent` (default), `Always` or `Never`",
    "GPO_IMAGE_PULL_SECRETS": "names of Secrets for all pods, with commas between",
    "GPO_NAMESPACES": "namespaces to watch, with commas between; left out, all",
    "GPO_NAMESPACE": "our own namespace, where the Lease is (gossip-price-system)",
    "GPO_IDENTITY": "our name in the Lease (the host's name)",
    "GPO_POD_IP": "our own address: pods' addresses are of its family",
    "GPO_LEASE": "the Lease's name (gossip-price-operator)",
    "GPO_LEASE_DURATION": "how long a Lease lasts that is not renewed (15s)",
    "GPO_RESYNC": "how often to look at a network that is at rest (60s)",
    "GPO_RESYNC_MOVING": "how soon to look again at one on its way, ever later if it rests (5s)",
    "GPO_EPOCH_LEAD": "a new epoch starts so long after it was made (3m)",
    "GPO_RUNBOOKS": "URL of the folder with the alerts' pages (docs/runbooks, of the repository)",
    "GPO_HTTPADDR": "where /livez, /readyz and /metrics are served, host:port (0.0.0.0:8080)",
    "GPO_LOGFORMAT": "`text` (default) or `json`",
    "GPO_LOGLEVEL": "`debug`, `info` (default), `warning` or `error`",
}
_FORMATS: Final = ("text", "json")
_LEVELS: Final = ("debug", "info", "warning", "error")
_POLICIES: Final = ("IfNotPresent", "Always", "Never")
_SECONDS_MAX: Final = 86_400


class SettingsError(ProblemsError):
    """An environment that cannot be used; `problems` holds every reason."""


@dataclass(frozen=True)
class Settings:
    """How this operator runs. Durations in seconds; no `namespaces` means all."""

    defaults: Defaults
    namespaces: tuple[str, ...]
    namespace: str
    identity: str
    ip_family: str
    lease: str
    lease_duration_s: float
    pace: Pace
    http_host: str
    http_port: int
    log_level: str
    log_format: Literal["text", "json"]


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from GPO_* names. Raises SettingsError with every problem."""
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    problems = [
        Problem(name, "an unknown name", suggest(name, DESCRIPTIONS))
        for name in given
        if name not in DESCRIPTIONS
    ]

    def seconds(name: str, default: int) -> int:
        try:
            value = parse_duration(given.get(name, default))
        except ValueError:
            value = 0
        if not 1 <= value <= _SECONDS_MAX:
            problems.append(Problem(name, repr(given.get(name)), "`30s`, `5m` or seconds, to 1d"))
        return value

    def choice(name: str, allowed: tuple[str, ...], default: str) -> str:
        value = given.get(name, default)
        if value not in allowed:
            problems.append(Problem(name, repr(value), f"one of {', '.join(allowed)}"))
        return value

    if "GPO_NODE_IMAGE" not in given:
        problems.append(Problem("GPO_NODE_IMAGE", None, "it is required", is_sentence=True))
    host, _, port = given.get("GPO_HTTPADDR", "0.0.0.0:8080").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        problems.append(Problem("GPO_HTTPADDR", repr(given.get("GPO_HTTPADDR")), "host:port"))
    settings = Settings(
        defaults=Defaults(
            node_image=given.get("GPO_NODE_IMAGE", ""),
            postgres_image=given.get("GPO_POSTGRES_IMAGE", "postgres:17"),
            image_pull_policy=choice("GPO_IMAGE_PULL_POLICY", _POLICIES, "IfNotPresent"),
            image_pull_secrets=_split(given.get("GPO_IMAGE_PULL_SECRETS", "")),
            epoch_lead_s=seconds("GPO_EPOCH_LEAD", LEAD_S),
            runbooks=given.get("GPO_RUNBOOKS", RUNBOOKS),
        ),
        namespaces=_split(given.get("GPO_NAMESPACES", "")),
        namespace=given.get("GPO_NAMESPACE", "gossip-price-system"),
        identity=given.get("GPO_IDENTITY", "") or socket.gethostname(),
        ip_family="ip6" if ":" in given.get("GPO_POD_IP", "") else "ip4",
        lease=given.get("GPO_LEASE", "gossip-price-operator"),
        lease_duration_s=seconds("GPO_LEASE_DURATION", 15),
        pace=Pace(seconds("GPO_RESYNC", 60), seconds("GPO_RESYNC_MOVING", 5)),
        http_host=host.removeprefix("[").removesuffix("]"),
        http_port=int(port) if port.isdecimal() else 0,
        log_level=choice("GPO_LOGLEVEL", _LEVELS, "info"),
        log_format="json" if choice("GPO_LOGFORMAT", _FORMATS, "text") == "json" else "text",
    )
    if problems:
        raise SettingsError(problems)
    return settings


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
