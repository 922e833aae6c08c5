"""`ulzoo study FILE --out DIR`: the runs of a study, its page, and a verdict on each of its claims."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ulzoo.cli.run_command import say
from ulzoo.cli.sweep_command import do
from ulzoo.declarations import load_declared
from ulzoo.errors import RunError
from ulzoo.report import EXTRA, missing_packages
from ulzoo.study.model import base_path, load_study


def run(arguments: argparse.Namespace) -> None:
    if arguments.out is None and not arguments.check:
        raise RunError("give --out DIR for the runs, or --check")
    study = load_study(arguments.file)
    base, points = base_path(arguments.file, study), study.points()
    for point in points:
        load_declared(base, dict(point.overrides))
    if arguments.check:
        from ulzoo.experiment import check_fit
        from ulzoo.spec import load_spec

        for name in study.variants:
            first = next(point for point in points if point.group == name)
            check_fit(load_spec(base, dict(first.overrides)))
        say(f"{arguments.file}: {len(study.variants)} variants fit, {len(points)} runs")
        return
    if absent := missing_packages():
        raise RunError(f"a study's page needs {' and '.join(absent)}, not installed here\n    {EXTRA}")
    out, name = Path(arguments.out), Path(arguments.file).stem
    pages = out if arguments.pages is None else Path(arguments.pages)

    def page() -> None:
        from ulzoo.study.claims import answer
        from ulzoo.study.markdown import write_study
        from ulzoo.sweep.results import read_rows

        rows = read_rows(out, points)
        command = f"ulzoo study {shlex.quote(str(arguments.file))} --out {shlex.quote(str(out))}"
        path = write_study(pages, name, command, study, rows)
        for claim in study.claims:
            say(f"{answer(study, claim, rows).verdict}: {claim.text}")
        say(f"study: {path}")

    again = ("study", str(arguments.file), "--out", "RUN")
    try:
        do(str(base), points, out, study.stages, again, study.title)
    finally:
        if (out / "grid.json").exists():
            page()
