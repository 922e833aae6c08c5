"""Work that an interruption may follow, but not cut."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM wait; they are delivered at the end, to whoever would have had them.

    Python raises KeyboardInterrupt between any two instructions, also of a library that has just handed work
    to a thread and not yet noted it. In other threads than the main one nothing is raised, and nothing done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set from Python; it cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if arrived:
            handler = before[signal.Signals(arrived[0])]
            # A second raising would be counted as a second signal by who counts them (`ulzoo.stopping`).
            if callable(handler):
                handler(arrived[0], None)
            else:
                signal.raise_signal(arrived[0])
