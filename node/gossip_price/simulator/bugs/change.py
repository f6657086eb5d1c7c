"""How a bug is put in: something is changed for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any


@contextmanager
def changed(owner: Any, name: str, value: object) -> Iterator[None]:
    """Put `value` in the place of an owner's own attribute."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def change_all(*changes: AbstractContextManager[None]) -> Iterator[None]:
    """Make these changes at once."""
    with ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        yield
