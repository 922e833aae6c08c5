"""How far a loop has come: a bar on a terminal, plain lines in a log. Takes numbers, knows nothing of JAX."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

_WINDOW = 20.0
"""Seconds over which speed is averaged: long enough to be calm, short enough to follow a change."""


class Progress:
    """Progress of one loop; a context manager.

    Shows steps/s, images/s, the time left and the numbers that it is given, such as loss and bits/pixel.
    Speed is measured from the end of the first step on, which includes compilation.

    Args:
        title: such as "stage 1".
        total: steps of the whole loop.
        start: steps done in an earlier session.
        images: images per step; None where steps are not made of images.
        unit: what a step is called.
        stream: standard error by default.
        terminal: draw a bar; by default if `stream` is a terminal with a width.
        every: seconds between plain lines, at least.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        start: int = 0,
        images: int | None = None,
        unit: str = "steps",
        stream: TextIO | None = None,
        terminal: bool | None = None,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title = title
        self.total = total
        self.done = start
        self._start = start
        self._images = images
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._every = every
        self._clock = clock
        self._numbers: dict[str, float] = {}
        self._began = self._last_line = clock()
        self._closed = False
        self._marks: deque[tuple[float, int]] = deque()
        self._bar: tqdm | None = None
        if _has_room(self._stream) if terminal is None else terminal:
            # The speed is ours, in the postfix: tqdm's own counts compilation and forgets images.
            self._bar = tqdm(
                total=total,
                initial=start,
                desc=title,
                file=self._stream,
                # The bar takes what is left: a narrow terminal cuts it, and not the numbers.
                bar_format="{desc} {n_fmt}/{total_fmt}{postfix} |{bar}|",
                mininterval=0.1,
                dynamic_ncols=True,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, steps: int = 1, numbers: Mapping[str, float] | None = None) -> None:
        """Notes that `steps` more are done.

        Args:
            numbers: shown from now on under their names; those not given keep their last value.
        """
        now = self._clock()
        self.done += steps
        if numbers:
            self._numbers |= numbers
        self._marks.append((now, self.done))
        while now - self._marks[0][0] > _WINDOW and len(self._marks) > 2:
            self._marks.popleft()
        if self._bar is not None:
            self._bar.set_postfix_str(" ".join(self._facts(digits=3)).replace("images", "img"), refresh=False)
            self._bar.update(steps)
        elif now - self._last_line >= self._every and self.done < self.total:
            # Under way only: `close` says how it ended.
            self._last_line = now
            share = 100 * self.done // max(self.total, 1)
            self._print(
                "  ".join([f"{self.title}  {self.done}/{self.total} {self._unit}  {share}%", *self._facts()])
            )

    def close(self) -> None:
        """Ends with one line: what was done, how long it took, the last numbers. Once is enough."""
        if self._closed:
            return
        self._closed = True
        seconds = self._clock() - self._began
        if self._bar is not None:
            self._bar.leave = False
            self._bar.close()
        steps = self.done - self._start
        facts = [f"{self.title}: {self.done}/{self.total} {self._unit} in {_duration(seconds)}"]
        if seconds > 0 and steps:
            facts.append(f"{_number(steps / seconds)} {self._unit}/s")
            if self._images is not None:
                facts.append(f"{_number(steps * self._images / seconds)} images/s")
        self._print("  ".join([*facts, *self._named()]))

    @property
    def speed(self) -> float | None:
        """Steps per second of late, None before there are two measurements."""
        (before, done_before), (after, done_after) = self._marks[0], self._marks[-1]
        return (done_after - done_before) / (after - before) if after > before else None

    def _facts(self, digits: int = 4) -> list[str]:
        speed = self.speed
        facts = []
        if speed:
            facts.append(f"{_number(speed, digits)} {self._unit}/s")
            if self._images is not None:
                facts.append(f"{_number(speed * self._images, digits)} images/s")
            facts.append(f"{_duration((self.total - self.done) / speed)} left")
        return facts + self._named(digits)

    def _named(self, digits: int = 4) -> list[str]:
        return [f"{name} {_number(value, digits)}" for name, value in self._numbers.items()]

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _has_room(stream: TextIO) -> bool:
    """Whether a bar can be drawn: terminals of batch systems and containers may have no columns at all."""
    return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0


def _duration(seconds: float) -> str:
    """1:02:03, 2:03 or 0:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float, digits: int = 4) -> str:
    """So many significant digits, without an exponent where it can be."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.{digits}g}"
