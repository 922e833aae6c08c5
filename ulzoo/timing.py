"""How long the parts of a run take, noted however a part ends, but for a process that is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ulzoo.run import Run


class StepClock:
    """A hook of the training loop that measures its speed; the first step is set apart, for it compiles.

    Args:
        images: per step.
    """

    def __init__(self, images: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._images, self._clock = images, clock
        self._began = clock()
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] = (0, self._began)

    def __call__(self, step: int, *ignored: object) -> None:
        self._last = (step, self._clock())
        self._first = self._first or self._last

    def facts(self) -> dict[str, Any]:
        """`steps`: first and last; `first_step_seconds`; `steps_per_second` and `images_per_second` after it.

        Empty before the first step; without speeds before the second.
        """
        if self._first is None:
            return {}
        (first, after_first), (last, end) = self._first, self._last
        facts: dict[str, Any] = {"steps": [first, last], "first_step_seconds": after_first - self._began}
        if last > first and end > after_first:
            speed = (last - first) / (end - after_first)
            facts |= {"steps_per_second": speed, "images_per_second": speed * self._images}
        return facts


@contextmanager
def timed(run: Run, part: str, facts: Callable[[], Mapping[str, Any]] = dict) -> Iterator[None]:
    """Notes in the run how long the block took, and whether it was left by an error or an interruption.

    Args:
        facts: asked at the end for what else to note.
    """
    started, began = datetime.now(UTC), time.monotonic()
    finished = False
    try:
        yield
        finished = True
    finally:
        run.note_timing(
            {
                "part": part,
                "started": started.isoformat(timespec="seconds"),
                "seconds": time.monotonic() - began,
                "finished": finished,
                **facts(),
            }
        )
