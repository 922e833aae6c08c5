"""The page of one run."""

from __future__ import annotations

from ulzoo.report.figures import MORE_CURVES, by_position, curves, rate_by_level
from ulzoo.report.frames import bits_by_frame, frames_given, predictions, quality_by_frame
from ulzoo.report.gaps import collapsed, gaps
from ulzoo.report.knobs import knobs_of
from ulzoo.report.numbers import duration, flat, moment
from ulzoo.report.pictures import examples, sheet
from ulzoo.report.reading import RunData
from ulzoo.report.rendering import render
from ulzoo.report.tables import (
    component_rows,
    environment_rows,
    key_numbers,
    measured_rows,
    timing_rows,
    total_seconds,
)


def page(run: RunData) -> str:
    """The report of a run as one HTML document."""
    rows, protocols = measured_rows(run)
    seconds = total_seconds(run)
    samples, pairs, continued = sheet(run), examples(run), predictions(run)
    return render(
        "run.html",
        run=run,
        gaps=gaps(run, samples, pairs, continued),
        collapsed=collapsed(run),
        key=key_numbers(rows),
        total=None if seconds is None else duration(seconds),
        samples=samples,
        examples=pairs,
        predictions=continued,
        given=frames_given(run),
        quality=quality_by_frame(run),
        stages=[
            (stage, curves([run], f"stage{stage}"), curves([run], f"stage{stage}", which=MORE_CURVES))
            for stage in (1, 2)
        ],
        level=rate_by_level([run]),
        position=by_position(run),
        over_time=bits_by_frame(run),
        knobs=knobs_of(run),
        rows=rows,
        protocols=protocols,
        titles=[[row.name for row in rows if row.protocol == k] for k in range(len(protocols))],
        flat=flat,
        moment=moment,
        timings=timing_rows(run),
        environment=environment_rows(run),
        components=component_rows(run),
    )
