"""The page of a sweep: numbers of each group with their intervals, figures against bits, and the runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError
from ulzoo.report.numbers import interval_words, short, title
from ulzoo.report.rendering import render
from ulzoo.sweep.figures import against_bits
from ulzoo.sweep.results import Row, groups, mean_of, names_of


def write_page(path: str | Path, heading: str, rows: Sequence[Row]) -> None:
    """Writes the page, one HTML file. Raises RunError if it cannot be written."""
    names = names_of(rows)
    numbers = [
        (
            group,
            [
                None if mean is None else (short(mean.value), interval_words(mean.interval), mean.over)
                for mean in (mean_of(members, name) for name in names)
            ],
            len(members),
        )
        for group, members in groups(rows).items()
    ]
    units = {name: record.unit for row in rows for name, record in row.measured.items()}
    text = render(
        "sweep.html",
        heading=heading,
        names=[(name, title(name), "" if units[name] == "1" else units[name]) for name in names],
        numbers=numbers,
        figures=against_bits(rows),
        rows=rows,
    )
    try:
        write_atomic(Path(path), text)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
