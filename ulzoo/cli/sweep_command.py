"""`ulzoo sweep SPEC --set PATH=VALUE,VALUE… [--out DIR]`: a small grid of runs, to be continued."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ulzoo.cli.interruption import resumable
from ulzoo.cli.run_command import say
from ulzoo.declarations import load_declared
from ulzoo.errors import RunError
from ulzoo.report import missing_packages
from ulzoo.sweep.grid import Point, grid, parse_axes


def run(arguments: argparse.Namespace) -> None:
    axes = parse_axes(arguments.overrides)
    points = grid(axes)
    for point in points:
        # What can be told without JAX is told at once, of all runs.
        load_declared(arguments.spec, dict(point.overrides))
    sets = [word for text in arguments.overrides for word in ("--set", text)]
    stage = () if arguments.stage is None else ("--stage", str(arguments.stage))
    again = ("sweep", arguments.spec, *sets, *stage, "--out", "RUN")
    stages = (1, 2) if arguments.stage is None else (1,)
    name = Path(arguments.spec).stem
    # The same each time, so that the same command goes on.
    out = Path("sweeps", name) if arguments.out is None else Path(arguments.out)
    do(arguments.spec, points, out, stages, again, name)


def do(
    path: str,
    points: Sequence[Point],
    out: Path,
    stages: Sequence[int],
    again: Sequence[str],
    heading: str,
) -> None:
    """The runs of a sweep, and its files after each of them.

    Args:
        again: the command that goes on after an interruption, `RUN` standing for the directory.

    Raises:
        RunError: some runs failed; the others are done.
    """
    from ulzoo.sweep.results import read_rows, write_results
    from ulzoo.sweep.running import run_points

    drawn = not missing_packages()

    def show() -> None:
        rows = read_rows(out, points)
        write_results(out, rows)
        if drawn:
            from ulzoo.sweep.page import write_page

            write_page(out / "sweep.html", heading, rows)

    with resumable(out, *again):
        failures = run_points(path, points, out, stages=stages, say=say, after=show)
    say(f"results: {out / 'results.csv'}, {out / 'results.json'}")
    say(f"page: {out / 'sweep.html'}" if drawn else "no page: it needs pip install 'ulzoo[report]'")
    if failures:
        raise RunError("\n".join([f"{len(failures)} of {len(points)} runs failed", *failures]))
