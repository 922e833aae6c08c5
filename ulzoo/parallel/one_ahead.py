"""The next thing is taken while this one is used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_PARTING = 5.0
"""Seconds that closing waits for a thing that is being taken; one that hangs is left to its daemon thread."""


def one_ahead(things: Iterator[T]) -> Generator[T, None, None]:
    """Things in order. Whenever one is given out, the next is taken from `things` in a thread: one at a time,
    none before the one before was given out, and so as many as are asked for, and one.

    What `things` raises is raised where that thing would have been given out.
    """
    asked: SimpleQueue[bool] = SimpleQueue()
    taken: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def take() -> None:
        while asked.get():
            try:
                taken.put((next(things), None))
            except BaseException as error:
                taken.put((None, error))

    thread = threading.Thread(target=take, daemon=True, name="ulzoo-one-ahead")
    thread.start()
    asked.put(True)
    try:
        while True:
            thing, error = taken.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            asked.put(True)
            yield thing  # type: ignore[misc]
    finally:
        asked.put(False)
        thread.join(_PARTING)
