"""What is said when a run is interrupted: how to go on with it."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ulzoo.stopping import Terminated


@contextmanager
def termination_as_interruption() -> Iterator[None]:
    """Inside, SIGTERM raises `Terminated` in the main thread, so that files and locks are closed."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may say what a signal does.
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def resumable(directory: Path, *command: str) -> Iterator[None]:
    """Adds to an interruption how to go on; `command` is followed by the directory and `more`."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        words = [str(directory) if word == "RUN" else word for word in command]
        interruption.add_note(f"continue with: ulzoo {shlex.join(words)}")
        raise
