"""Look again and again while a test does something else, and keep what was seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Watch(Generic[T]):
    """Calls `look` every `every_s` in a thread; `seen` holds (monotonic time, what it returned).

    A look that fails is a failure of the test, at the end.
    """

    def __init__(self, look: Callable[[], T], every_s: float = 1.0) -> None:
        self._look, self._every_s = look, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: Exception | None = None
        self.seen: list[tuple[float, T]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        if error is None and self._failure is not None:
            raise AssertionError("a look failed") from self._failure

    def list_changes(self) -> list[T]:
        """Return what was seen, without what was as before."""
        values = [value for _, value in self.seen]
        return [now for before, now in zip([None, *values], values, strict=False) if now != before]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.seen.append((time.monotonic(), self._look()))
            except Exception as error:  # noqa: BLE001 - told by the test that looks
                self._failure = error
                return
            self._stop.wait(self._every_s)
