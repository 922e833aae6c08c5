"""Says which record holds everything up."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Protocol

PATIENCE = 60.0
"""Seconds of reading one record after which it is named."""


class Reading(Protocol):
    """What can say which records are being read: a source, or workers."""

    def under_way(self) -> list[tuple[str, float]]: ...


class Watch:
    """A thread that names each record that takes longer than `patience` seconds to read, once; close it."""

    def __init__(
        self, source: Reading, *, patience: float = PATIENCE, tell: Callable[[str], object] | None = None
    ) -> None:
        self._source, self._patience = source, patience
        self._tell = tell or (lambda line: print(line, file=sys.stderr, flush=True))
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="ulzoo-watch").start()

    def close(self) -> None:
        """May be called twice."""
        self._ended.set()

    def _run(self) -> None:
        told: set[str] = set()
        while not self._ended.wait(self._patience / 4):
            slow = {name for name, seconds in self._source.under_way() if seconds > self._patience}
            for name in sorted(slow - told):
                self._tell(f"note: data: still reading {name!r} after {self._patience:g} s")
            # One that was read and hangs again is named again.
            told = slow
