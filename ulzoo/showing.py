"""What a run shows of itself: samples, reconstructions, and the report of all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.clips import FRAMES_PER_SECOND, animated_grid, marked, write_clip
from ulzoo.continuations import continued, continued_records
from ulzoo.data.viewing import viewing
from ulzoo.errors import RunError
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.examples import example_records, examples_of
from ulzoo.images import grid, side_by_side, write_png
from ulzoo.metrics.base import Record
from ulzoo.report import EXTRA, missing_packages, write_report
from ulzoo.run import Run
from ulzoo.spec import Spec
from ulzoo.trackers.base import Picture

GAP = 2
"""Pixels between samples in a grid, before they are enlarged."""

_MOST_CLASSES = 20
"""Classes, and columns of single classes, that are still told apart on a page."""

Say = Callable[[str], None]
"""Receives a line of text for the user."""


def show_examples(run: Run, evaluation: TrainedEvaluation) -> list[Record]:
    """A few images and their reconstructions as files, and what they cost and lost as records.

    None for data that cannot be drawn: neither images nor clips of 1, 3 or 4 channels.
    """
    shape = evaluation.assembly.data.shape
    if len(shape) not in (3, 4) or shape[0] not in (1, 3, 4):
        return []
    examples = examples_of(evaluation)
    if run.follows:
        return []
    run.examples.mkdir(exist_ok=True)
    pairs = list(zip(examples.originals, examples.reconstructions, strict=True))
    for i, (original, result) in enumerate(pairs):
        for name, pixels in (("original", original), ("reconstruction", result)):
            path = run.examples / f"{i:03d}-{name}"
            if pixels.ndim == 4:
                write_clip(path.with_suffix(".webp"), pixels, fps=pace(evaluation))
            else:
                write_png(path.with_suffix(".png"), pixels)
    sheet = grid([side_by_side(*pair) for pair in pairs], columns=4)
    run.show([Picture(evaluation.step, "stage1", f"stage1/{examples.split}/examples", sheet)])
    return example_records(examples, evaluation.protocol, is_bound=evaluation.is_bound)


def show_continued(run: Run, evaluation: TrainedEvaluation) -> list[Record]:
    """A few clips and how the base model goes on from their given frames: each as a clip that plays, truth on
    the left, and as two rows of frames, truth above; given frames have a border. And their PSNR as records.

    None for base models that take no frames, and for clips of other than 1 or 3 channels.
    """
    if evaluation.assembly.data.shape[0] not in (1, 3) or (found := continued(evaluation)) is None:
        return []
    if run.follows:
        return []
    run.examples.mkdir(exist_ok=True)
    sheets = []
    for i, pair in enumerate(zip(found.originals, found.made, strict=True)):
        both = [marked(clip, found.given) for clip in pair]
        sheets.append(side_by_side(*both))
        path = run.examples / f"{i:03d}-prediction"
        write_clip(path.with_suffix(".webp"), animated_grid(both, 2), fps=pace(evaluation))
        write_png(path.with_suffix(".png"), sheets[-1])
    sheet = grid(sheets, columns=1, gap=2 * GAP)
    run.show([Picture(evaluation.step, "stage2", f"stage2/{found.split}/predictions", sheet)])
    return continued_records(found, evaluation.protocol)


def draw_grid(run: Run, spec: Spec, evaluation: TrainedEvaluation, say: Say) -> Path:
    """The spec's samples as one picture, `samples/grid.png`, each column of one class where they are few."""
    images, labels, how = evaluation.samples(spec.sample.count, spec.sample.seed)
    columns, by_class = columns_for(len(images), evaluation.assembly.data.num_classes)
    path = run.samples / "grid.png"
    if run.follows:
        return path
    sheet = grid(images, columns, gap=GAP)
    larger = enlargement(images)
    write_png(path, sheet, enlarge=larger)
    if images.ndim == 5:
        sheets, fps = animated_grid(images, columns, gap=GAP), pace(evaluation)
        write_clip(path.with_suffix(".webp"), sheets, enlarge=larger, fps=fps)
    headings = None if labels is None or not by_class else labels[:columns].tolist()
    facts = {
        "images": len(images),
        "columns": min(columns, len(images)),
        "labels": headings,
        "rows": -(-len(images) // columns),
        "gap": GAP * larger,
        "step": evaluation.step,
        "protocol": {**evaluation.protocol, **how},
    }
    write_atomic(path.with_suffix(".json"), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    run.show([Picture(evaluation.step, "stage2", "stage2/samples", sheet)])
    say(f"{len(images)} samples: {path}")
    return path


def pace(evaluation: TrainedEvaluation) -> float:
    """Frames a second at which the data's clips are shown: as they were filmed, where the data says so."""
    return viewing(evaluation.data).fps or FRAMES_PER_SECOND


def columns_for(images: int, classes: int | None) -> tuple[int, bool]:
    """Columns of a grid that is about square, and whether each of them has one class.

    Labels are drawn in turn, so a multiple of the classes as columns keeps each class in columns of its own.
    """
    edge = images**0.5
    if classes is None or not 2 <= classes <= _MOST_CLASSES:
        return max(1, round(edge)), False
    return classes * max(1, min(round(edge / classes), _MOST_CLASSES // classes)), True


def enlargement(images: Any) -> int:
    """How many screen pixels an image's pixel gets: small images are enlarged, to about 64."""
    return max(1, round(64 / images.shape[-2]))


def report_on(run: Run, say: Say) -> None:
    """Writes the run's `report.html`; a page that cannot be written is told, and ends nothing."""
    if missing_packages():
        say(f"no report: it needs {EXTRA}; then: ulzoo report {run.directory}")
        return
    try:
        say(f"report: {write_report(run.directory)}")
    except RunError as error:
        say(f"no report: {error}")
