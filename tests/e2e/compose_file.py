"""compose.yaml run by plain `docker run`: the same containers, on a machine without Compose.

Every word of the file is either carried out here or not known, and what is not known is an error:
so the file cannot come to say what no test has run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from e2e.programs import attempt, run
from e2e.waiting import eventually

_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
#: What says how to build or when to start, and is no option of `docker run`.
_ELSEWHERE: Final = {"build", "command", "depends_on", "healthcheck", "image", "profiles"}

#: What `docker run` calls otherwise, and what it takes word by word.
_SAME: Final = {"network_mode": "network", "read_only": "read-only", "restart": "restart"}
_LISTED: Final = ("cap_drop", "security_opt", "tmpfs")


def read_compose(path: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the file with its variables filled in."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if not isinstance(value, str):
            return value
        filled = _VARIABLE.sub(lambda found: given.get(found[1]) or found[2], value)
        assert "$" not in _VARIABLE.sub("", value), f"a form of variable that is not known: {value}"
        return filled

    read: dict[str, Any] = fill(yaml.safe_load(path.read_text()))
    known = {"name", "services", "volumes"}
    assert {name for name in read if not name.startswith("x-")} == known
    assert all(told is None for told in read["volumes"].values())
    return read


class Composed:
    """A project's containers. Names, volumes and network bear the project's name."""

    def __init__(self, read: Mapping[str, Any], project: str) -> None:
        self._services: Mapping[str, Any] = read["services"]
        self._volumes = tuple(read["volumes"])
        self._project = project
        self._started: set[str] = set()

    def get_container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self._project}-{service}"

    def up(self) -> None:
        """Start every service that has no profile, each after what it depends on."""
        run("docker", "network", "create", self._project)
        for name, told in self._services.items():
            if "profiles" not in told:
                self.start(name)

    def start(self, service: str) -> None:
        """Start a service, and before it what it depends on."""
        if service in self._started:
            return
        self._started.add(service)
        told = self._services[service]
        for other, after in told.get("depends_on", {}).items():
            self.start(other)
            assert set(after) == {"condition"}
            self._await(other, after["condition"])
        container = self.get_container(service)
        command = ("docker", "run", "--detach", "--name", container)
        run(*command, *self._make_options(service), told["image"], *told.get("command", ()))

    def run_once(self, service: str, *arguments: str) -> tuple[int, str]:
        """Run a service's container anew, to its end; return its exit code and all it said."""
        told = self._services[service]
        command = ("docker", "run", "--rm", *self._make_options(service), told["image"])
        done = attempt(*command, *(arguments or told["command"]))
        return done.returncode, done.stdout + done.stderr

    def is_healthy(self, service: str) -> bool:
        """Ask what the service's healthcheck asks."""
        kind, *command = self._services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return attempt("docker", "exec", self.get_container(service), *command).returncode == 0

    def down(self) -> None:
        """Remove everything of the project."""
        for service in self._services:
            attempt("docker", "rm", "--force", "--volumes", self.get_container(service))
        for volume in self._volumes:
            attempt("docker", "volume", "rm", "--force", f"{self._project}-{volume}")
        attempt("docker", "network", "rm", self._project)

    def _await(self, service: str, condition: str) -> None:
        container = self.get_container(service)
        if condition == "service_completed_successfully":
            code = run("docker", "wait", container).strip()
            logs = attempt("docker", "logs", container)
            assert code == "0", logs.stdout + logs.stderr
        elif condition == "service_healthy":
            eventually(f"{service} is healthy", lambda: self.is_healthy(service))
        else:
            assert condition == "service_started"

    def _make_options(self, service: str) -> Iterator[str]:
        told = self._services[service]
        if "network_mode" not in told:
            yield from ("--network", self._project, "--network-alias", service)
        for name, value in told.items():
            if name not in _ELSEWHERE:
                yield from self._make_option(name, value)

    def _make_option(self, name: str, value: Any) -> Iterator[str]:
        if name in _SAME:
            yield f"--{_SAME[name]}={str(value).lower()}"
        elif name in _LISTED:
            yield from (f"--{name.replace('_', '-')}={word}" for word in value)
        elif name == "stop_grace_period":
            assert re.fullmatch(r"\d+m", value)
            yield f"--stop-timeout={int(value[:-1]) * 60}"
        elif name == "environment":
            assert all(isinstance(text, str) for text in value.values()), "Compose wants texts"
            yield from (f"--env={variable}={text}" for variable, text in value.items())
        elif name == "ports":
            # Any free port: this machine may have the network running already.
            split = [port.split(":") for port in value]
            yield from (f"--publish={host}::{inside}" for host, _, inside in split)
        elif name == "volumes":
            for source, target in (volume.split(":") for volume in value):
                assert source in self._volumes
                yield f"--volume={self._project}-{source}:{target}"
        else:
            raise AssertionError(f"{name}: not known here, and so it would run untried")


@contextmanager
def composed(read: Mapping[str, Any], project: str) -> Iterator[Composed]:
    """Have a project that is not up yet, and remove it whatever happens."""
    project_up = Composed(read, project)
    project_up.down()
    try:
        yield project_up
    finally:
        project_up.down()
