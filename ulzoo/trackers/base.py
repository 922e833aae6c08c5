"""What a tracker is given: the records and pictures of a run, as they are made.

A tracker is a registered pydantic class (`ulzoo.tracker` entry point) with `build(io, *, key)`, giving an
object with the methods of `Tracker`. A run's `metrics.jsonl` is always written; trackers are told the same
beside it, so a tracker may leave out what it has no place for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ulzoo.errors import InterfaceError
from ulzoo.records import Record

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TrackerIO:
    """The run that a tracker follows.

    Attributes:
        directory: of the run; what a tracker writes belongs into a folder of its own there.
        name: of the spec, or `run`.
        spec: the resolved spec as plain data.
        spec_hash: the experiment's identity.
    """

    directory: Path
    name: str
    spec: Mapping[str, Any]
    spec_hash: str


@dataclass(frozen=True)
class Picture:
    """A picture of a run.

    Attributes:
        step: optimiser steps taken by the stage when it was made.
        stage: "stage1" or "stage2".
        name: such as `stage2/samples`.
        image: uint8 (h, w, c) with 1, 3 or 4 channels.
    """

    step: int
    stage: str
    name: str
    image: np.ndarray


class Tracker(Protocol):
    """Follows a run. Made once for each process that writes to it."""

    def resume(self, stage: str, step: int) -> None:
        """`stage` begins, or goes on after `step`: whatever was told of later steps will be told again."""

    def records(self, records: Sequence[Record]) -> None:
        """Measured numbers, in the order in which they were measured."""

    def pictures(self, pictures: Sequence[Picture]) -> None:
        """Samples and reconstructions."""

    def close(self) -> None:
        """The process is done with the run, which may go on in another one."""


class Trackers:
    """Several trackers as one; each is told everything, and closed whatever another one does."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def resume(self, stage: str, step: int) -> None:
        for tracker in self._trackers:
            tracker.resume(stage, step)

    def records(self, records: Sequence[Record]) -> None:
        for tracker in self._trackers:
            tracker.records(records)

    def pictures(self, pictures: Sequence[Picture]) -> None:
        for tracker in self._trackers:
            tracker.pictures(pictures)

    def close(self) -> None:
        trackers, self._trackers = self._trackers, ()
        with ExitStack() as stack:
            for tracker in trackers:
                stack.callback(tracker.close)


def require(module: str, extra: str) -> None:
    """Whether an optional package is there, without importing it.

    Raises:
        InterfaceError: it is not; names the extra that brings it.
    """
    if find_spec(module) is None:
        raise InterfaceError(f"needs {module}, which is not installed: pip install 'ulzoo[{extra}]'", "type")
