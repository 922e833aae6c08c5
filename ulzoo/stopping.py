"""Stopping on a signal without losing a step: the step in progress ends and is saved, within a time of grace.

Signals are read by a thread, so that a second one, or the end of the grace, ends the process also while the
main thread is compiling or waiting for a device and Python would not get to its handlers.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from ulzoo.errors import RunError

GRACE_VARIABLE = "ULZOO_GRACE_SECONDS"
DEFAULT_GRACE = 25.0
"""Below the 30 s that Slurm and Kubernetes leave between SIGTERM and SIGKILL unless told otherwise."""
_SAME_REQUEST = 1.0
"""Seconds in which a repeated signal is the same request: `timeout`, and some launchers, signal a process
and then its group, which it is in too."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DONE = b"\0"


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it before they kill; to all else like an interruption by hand."""


def grace_seconds(environment: Mapping[str, str]) -> float:
    """How long a stopped run may take to save. Raises RunError for a value that is no number above 0."""
    text = environment.get(GRACE_VARIABLE, str(DEFAULT_GRACE))
    with suppress(ValueError):
        if 0.0 < float(text) < threading.TIMEOUT_MAX:
            return float(text)
    raise RunError(f"{GRACE_VARIABLE}: must be a number of seconds above 0, got {text!r}")


class StopRequest:
    """Whether a signal has asked to stop, and which."""

    def __init__(self) -> None:
        self._signal: int | None = None

    @property
    def made(self) -> bool:
        return self._signal is not None

    def make(self, number: int) -> None:
        """Ask to stop, as signal `number` would."""
        self._signal = number

    def interruption(self) -> KeyboardInterrupt:
        """What to raise once all is saved."""
        return Terminated() if self._signal == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def stop_on_signal(grace: float) -> Iterator[StopRequest]:
    """Inside, SIGINT and SIGTERM only make the request; whoever is inside stops when it can.

    The process ends at once, with status 128 + signal, if there is another signal, or if the block is not
    left within `grace` seconds. Signals that are ignored stay so. In other threads than the main one nothing
    changes, and no request is ever made.

    Raises:
        KeyboardInterrupt: at the end of a block that was done before it saw the request.
    """
    request = StopRequest()
    watched = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread() or not watched:
        yield request
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    thread = threading.Thread(target=_watch, args=(reader, request, watched, grace), daemon=True)
    thread.start()
    before = {number: signal.signal(number, _noted_elsewhere) for number in watched}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield request
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            # None stands for a handler that was not set from Python; it cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        writer.send(_DONE)
        thread.join()
        reader.close()
        writer.close()
    if request.made:
        raise request.interruption()


def _noted_elsewhere(number: int, frame: FrameType | None) -> None:
    """Without a handler of Python's, a signal is not written to where the thread reads."""


def _watch(reader: socket.socket, request: StopRequest, watched: list[int], grace: float) -> None:
    asked = 0.0
    while True:
        left = max(0.0, asked + grace - time.monotonic()) if request.made else None
        readable, _, _ = select.select([reader], [], [], left)
        if not readable:
            _end(request, f"not saved within {grace:g} s ({GRACE_VARIABLE}); stopped without")
        arrived = reader.recv(64) if readable else b""
        numbers = [number for number in arrived if number in watched]
        if numbers and not request.made:
            asked = time.monotonic()
            request.make(numbers[0])
            name = signal.Signals(numbers[0]).name
            _tell(f"{name}: stopping after this step, to save it; another signal stops at once")
        elif numbers and time.monotonic() - asked >= _SAME_REQUEST:
            _end(request, "stopped without saving; the checkpoint before is as it was")
        if _DONE in arrived:
            return


def _tell(line: str) -> None:
    # Into a closed pipe nothing can be told, and the run is to be saved all the same.
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _end(request: StopRequest, line: str) -> None:
    _tell(line)
    os._exit(143 if isinstance(request.interruption(), Terminated) else 130)
