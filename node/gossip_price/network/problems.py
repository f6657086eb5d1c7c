"""What is wrong with a configuration: by name, what was given, what is allowed, all at once. Pure.

The bridge from pydantic's errors to words for people; knows no field of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

GIVEN_LENGTH_MAX: Final = 80
_WHOLE: Final = "whole"


@dataclass(frozen=True)
class Problem:
    """One wrong value. `given` is its shortened repr; None where it is missing or must not show.

    With `is_sentence`, `allowed` says by itself what is wrong and what helps.
    """

    path: str
    given: str | None
    allowed: str
    is_sentence: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        given = "" if self.given is None else f"{self.given} given, "
        words = self.allowed if self.is_sentence else f"{given}allowed: {self.allowed}"
        return f"{self.path}: {words}" if self.path else words

    def within(self, place: str) -> Problem:
        """Return the same problem with the place (a file) before its path."""
        return replace(self, path=f"{place}: {self.path}" if self.path else place)


class ProblemsError(ValueError):
    """A configuration that cannot be used; `problems` holds every reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def make_hidden_error(allowed: str) -> PydanticCustomError:
    """Return what a validator raises where the value given must not be repeated."""
    return PydanticCustomError(_WHOLE, "{allowed}", {"allowed": allowed})


def show(value: object) -> str:
    """Return the repr of what was given, shortened."""
    text = repr(value)
    return text if len(text) <= GIVEN_LENGTH_MAX else text[: GIVEN_LENGTH_MAX - 1] + "…"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return what is allowed in place of the unknown `name`, with the nearest as a hint."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"one of {', '.join(names)}{hint}"


def collect_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return pydantic's errors for `model` as problems, in its order."""
    return [_explain(details, model) for details in error.errors(include_url=False)]


def _explain(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    location = details["loc"]
    path = _format_path(location)
    kind = details["type"]
    if kind == "missing":
        return Problem(path, None, "it is required", is_sentence=True)
    if kind == "extra_forbidden":
        known = get_field_names(_find_model(model, location[:-1]))
        return Problem(path, "an unknown field", suggest(str(location[-1]), known))
    context: dict[str, Any] = details.get("ctx", {})
    if kind == _WHOLE:
        return Problem(path, None, context["allowed"])
    given = show(details["input"])
    if kind == "value_error":
        return Problem(path, given, str(context["error"]))
    return Problem(path, given, _clean(details["msg"]))


def _clean(message: str) -> str:
    for start in ("Input should be ", "Input should "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]


def _format_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "(whole)"


def get_field_names(model: type[BaseModel]) -> list[str]:
    """Return the names that a file or the environment may use."""
    return [str(field.alias or name) for name, field in model.model_fields.items()]


def _find_model(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for step in location:
        for name, field in model.model_fields.items():
            if step in (name, field.alias):
                model = next(iter(_find_models(field.annotation)), model)
    return model


def _find_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _find_models(part)]
