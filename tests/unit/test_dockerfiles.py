"""What both Dockerfiles promise, read from their text: no engine is needed to break a promise."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = ("Dockerfile.node", "Dockerfile.operator")
#: What the builder before BuildKit knows, as far as we need it.
INSTRUCTIONS = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "USER", "WORKDIR",
}  # fmt: skip
LABELS = ("title", "description", "licenses", "version", "revision", "base.name")

Instruction = tuple[str, str]


def read(name: str) -> list[Instruction]:
    """Return the instructions in order, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in found]


def read_last_stage(name: str) -> list[Instruction]:
    instructions = read(name)
    starts = [at for at, (word, _) in enumerate(instructions) if word == "FROM"]
    return instructions[starts[-1] :]


@pytest.mark.parametrize("name", FILES)
def test_the_builder_before_buildkit_understands_every_line(name: str) -> None:
    instructions = read(name)
    assert {word for word, _ in instructions} <= INSTRUCTIONS
    for word, rest in instructions:
        assert "<<" not in rest, "a heredoc"
        flags = set(re.findall(r"(?:^|\s)--([a-z-]+)=", rest)) if word in ("COPY", "RUN") else set()
        assert flags <= {"from", "chown"}, rest
    assert not re.search(r"^#\s*syntax\s*=", (ROOT / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_every_stage_stands_on_the_one_base_that_may_be_chosen(name: str) -> None:
    instructions = read(name)
    assert instructions[0] == ("ARG", "PYTHON_IMAGE=python:3.13-slim")
    bases = [rest.split()[0] for word, rest in instructions if word == "FROM"]
    assert len(bases) == 3
    assert set(bases) == {"${PYTHON_IMAGE}", "dependencies"}
    assert bases[-1] == "${PYTHON_IMAGE}", "what builds is not in what ships"


@pytest.mark.parametrize("name", FILES)
def test_what_ships_runs_nothing_but_a_check_and_starts_without_a_shell(name: str) -> None:
    shipped = read_last_stage(name)
    commands = [rest for word, rest in shipped if word in ("RUN", "CMD", "ENTRYPOINT")]
    assert all(rest.startswith("[") for rest in commands), "exec form: no shell is needed"
    entry = [rest for word, rest in shipped if word == "ENTRYPOINT"]
    command = "gossip-price" + ("-operator" if name.endswith("operator") else "")
    assert entry == [f'["/opt/gossip-price/bin/{command}"]']
    assert command in PROJECT["scripts"]


@pytest.mark.parametrize("name", FILES)
def test_the_user_is_a_number_and_not_root(name: str) -> None:
    users = [rest for word, rest in read_last_stage(name) if word == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[0])


@pytest.mark.parametrize("name", FILES)
def test_it_says_what_it_is_by_opencontainers_labels(name: str) -> None:
    said = " ".join(rest for word, rest in read_last_stage(name) if word == "LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]+)"', said))
    assert tuple(labels) == LABELS
    assert labels["licenses"] == PROJECT["license"]
    arguments = [rest for word, rest in read_last_stage(name) if word == "ARG"]
    assert arguments == ["PYTHON_IMAGE", "VERSION=unknown", "REVISION=unknown"]


@pytest.mark.parametrize("name", FILES)
def test_dependencies_are_pinned_and_made_before_the_project_is_there(name: str) -> None:
    instructions = read(name)
    copied = [rest for word, rest in instructions if word == "COPY"]
    first_sources = next(at for at, rest in enumerate(copied) if rest.startswith("node "))
    before = " ".join(copied[:first_sources])
    assert "pyproject.toml constraints.txt" in before
    installed = [rest for word, rest in instructions if word == "RUN" and " install " in rest]
    assert len(installed) == 2
    assert "-c constraints.txt" in installed[0]
    assert "--no-deps" in installed[1], "the project's own layer brings no dependency"


def test_the_ignore_file_lets_in_all_that_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / path).exists() for path in allowed)
    for name in FILES:
        for word, rest in read(name):
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert any(path == source or path.startswith(f"{source}/") for path in allowed)


@pytest.mark.parametrize(("extra", "absent"), [("node", "kopf"), ("operator", "libp2p")])
def test_an_image_gets_its_own_requirements_and_no_others(extra: str, absent: str) -> None:
    script = ROOT / "scripts" / "list_requirements.py"
    listed = subprocess.run(
        [sys.executable, script, extra], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert listed == [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    assert not any(line.startswith((absent, "pixeltable", "rich")) for line in listed)


def test_an_extra_that_is_not_there_is_refused_with_those_that_are() -> None:
    script = ROOT / "scripts" / "list_requirements.py"
    done = subprocess.run(
        [sys.executable, script, "nodes"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no extra nodes; there are: node, local, operator" in done.stderr
