"""Several runs beside each other: numbers with what makes them incomparable, specs, pictures, curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ulzoo.records import Record
from ulzoo.report.alike import side_by_side
from ulzoo.report.figures import curves, rate_by_level
from ulzoo.report.gaps import gaps
from ulzoo.report.knobs import knobs_of
from ulzoo.report.numbers import duration, interval_words, short
from ulzoo.report.pictures import Example, examples, sheet
from ulzoo.report.reading import RunData
from ulzoo.report.rendering import render
from ulzoo.report.settings import Differences
from ulzoo.report.tables import total_seconds


@dataclass(frozen=True)
class Row:
    """One measured number of several runs.

    Attributes:
        name: of the record.
        unit: of those that have it.
        cells: (value, interval, word) of each run; None where it was not measured.
        differs: entries of the protocols that differ, with each run's value; empty if the numbers may be
            compared.
        same_as: the first number above whose protocols differ in the same, or "".
    """

    name: str
    unit: str
    cells: tuple[tuple[str, str, str] | None, ...]
    differs: tuple[tuple[str, tuple[str, ...]], ...]
    same_as: str


def comparison(runs: Sequence[RunData], settings: Differences) -> str:
    """The page of several runs as one HTML document."""
    letters = [chr(ord("A") + k) for k in range(len(runs))]
    alike = len({run.name for run in runs}) == 1
    words = [run.directory.resolve().name if alike else run.name for run in runs]
    names = [f"{letter} {word}" for letter, word in zip(letters, words, strict=True)]
    seconds = [total_seconds(run) for run in runs]
    shown = [examples(run) for run in runs]
    sheets = [sheet(run) for run in runs]
    return render(
        "comparison.html",
        runs=list(zip(letters, runs, strict=True)),
        names=names,
        gaps=[gaps(*each) for each in zip(runs, sheets, shown, strict=True)],
        totals=["unknown" if value is None else duration(value) for value in seconds],
        knobs=[knobs_of(run) for run in runs],
        samples=sheets,
        shared=shared_examples(shown),
        rows=record_rows(runs),
        settings=settings.rows,
        settings_problem=settings.problem,
        stages=[(stage, curves(runs, f"stage{stage}", names)) for stage in (1, 2)],
        level=rate_by_level(runs, names),
    )


def record_rows(runs: Sequence[RunData]) -> list[Row]:
    """Measured numbers of all runs, in the order of the first run that has each."""
    first: dict[tuple[tuple[str, tuple[str, ...]], ...], str] = {}
    rows = []
    for row in side_by_side(runs):
        same_as = first.setdefault(row.differs, row.name) if row.differs else row.name
        cells = tuple(map(_cell, row.records))
        rows.append(Row(row.name, row.units, cells, row.differs, "" if same_as == row.name else same_as))
    return rows


def _cell(record: Record | None) -> tuple[str, str, str] | None:
    if record is None:
        return None
    return short(record.value), interval_words(record.interval), str(record.protocol.get("rate", ""))


def shared_examples(shown: Sequence[list[Example]]) -> list[list[Example]]:
    """Examples of the same original image in all runs, one list for each image, in the runs' order."""
    by_image = [{(one.index, one.original): one for one in each} for each in shown]
    return [
        [each[image] for each in by_image] for image in by_image[0] if all(image in each for each in by_image)
    ]
