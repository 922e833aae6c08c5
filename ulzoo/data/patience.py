"""How long a record may take: each read is known while it lasts, and given up after a time, if one is set."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ulzoo.data.decode import CorruptImage

T = TypeVar("T")


class Patience:
    """Runs reads; thread-safe.

    A read that takes longer than `timeout` seconds raises CorruptImage in whoever waits for it. Its thread
    cannot be ended from outside: it is left behind, does no harm, and ends with the process at the latest.

    Args:
        timeout: None runs each read in the caller's own thread, at no cost, and never gives up.

    Attributes:
        tell: called with the index of each read that begins, and with None when it ends.
    """

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._reading: dict[int, tuple[int, float]] = {}
        self._idle: queue.SimpleQueue[_Reader] = queue.SimpleQueue()
        self.tell: Callable[[int | None], object] = lambda index: None

    def wait(self, index: int, read: Callable[[], T]) -> T:
        """What `read` gives, or raises."""
        thread = threading.get_ident()
        self._reading[thread] = (index, time.monotonic())
        self.tell(index)
        try:
            return read() if self._timeout is None else self._timed(read, self._timeout)
        finally:
            self._reading.pop(thread, None)
            self.tell(None)

    def under_way(self) -> list[tuple[int, float]]:
        """Index of each record that is being read now, and for how many seconds, the longest first."""
        now = time.monotonic()
        found = [(index, now - began) for index, began in list(self._reading.values())]
        return sorted(found, key=lambda one: -one[1])

    def _timed(self, read: Callable[[], T], timeout: float) -> T:
        try:
            reader = self._idle.get_nowait()
        except queue.Empty:
            reader = _Reader()
        reader.asked.put(read)
        try:
            value, error = reader.answered.get(timeout=timeout)
        except queue.Empty:
            raise CorruptImage(f"not read within {timeout:g} s") from None
        self._idle.put(reader)
        if error is not None:
            raise error
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {"_timeout": self._timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_timeout"])  # type: ignore[misc]


class _Reader:
    """A thread that reads what it is asked to, one after the other."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self.answered: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        # A daemon: the process must be able to end while a read hangs.
        threading.Thread(target=self._run, daemon=True, name="ulzoo-reader").start()

    def _run(self) -> None:
        while True:
            read = self.asked.get()
            try:
                self.answered.put((read(), None))
            except BaseException as error:
                self.answered.put((None, error))
