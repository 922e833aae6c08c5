"""Trackers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.records import Record
from ulzoo.testing.case import Case
from ulzoo.testing.mismatch import require
from ulzoo.trackers.base import Picture, TrackerIO

METHODS = ("resume", "records", "pictures", "close")
RECORDS = [
    Record(step, "stage1", "stage1/train/loss", value, "bits/pixel", {"rate": "upper bound"})
    for step, value in ((1, 2.5), (2, float("inf")))
]
PICTURES = [
    Picture(2, "stage2", f"stage2/samples_{channels}", np.full((8, 12, channels), 128, np.uint8))
    for channels in (1, 3, 4)
]


@contextmanager
def _opened(case: Case) -> Iterator[tuple[Any, Path]]:
    """The tracker of a run that has a file of its own already."""
    with tempfile.TemporaryDirectory(prefix="ulzoo-testing-") as name:
        folder = Path(name)
        (folder / "metrics.jsonl").write_text("{}\n")
        tracker = case.config.build(TrackerIO(folder, "testing", {"ulzoo": 1}, "0" * 64), key=None)
        try:
            yield tracker, folder
        finally:
            tracker.close()


def contract(case: Case) -> None:
    """`build` gives an object with the methods of `ulzoo.trackers.base.Tracker`."""
    with tempfile.TemporaryDirectory(prefix="ulzoo-testing-") as folder:
        tracker = case.config.build(TrackerIO(Path(folder), "testing", {}, "0" * 64), key=None)
        missing = [name for name in METHODS if not callable(getattr(tracker, name, None))]
        require(not missing, f"the methods {', '.join(METHODS)}", f"no {', '.join(missing)}")
        tracker.close()


def follows(case: Case) -> None:
    """It is told of a run, also of one that goes on from an earlier step, and is closed."""
    with _opened(case) as (tracker, _):
        for step in (0, 1):
            tracker.resume("stage1", step)
            tracker.records(RECORDS)
        tracker.resume("stage2", 0)
        tracker.pictures(PICTURES)
        tracker.records([])


def own_folder(case: Case) -> None:
    """What it writes into the run's directory is in a folder of its own."""
    with _opened(case) as (tracker, folder):
        tracker.resume("stage1", 0)
        tracker.records(RECORDS)
        tracker.pictures(PICTURES)
        tracker.close()
        loose = sorted(
            path.name for path in folder.iterdir() if path.is_file() and path.name != "metrics.jsonl"
        )
        require(
            not loose, "files in a folder of the tracker's own", f"{', '.join(loose)} beside the run's files"
        )
        kept = (folder / "metrics.jsonl").read_text() == "{}\n"
        require(kept, "the run's own files as they were", "another metrics.jsonl")
