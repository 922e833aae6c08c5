"""`ulzoo compare RUN RUN…`: numbers of several runs side by side, where they were measured alike."""

from __future__ import annotations

import argparse

from ulzoo.errors import RunError
from ulzoo.report import read_apart
from ulzoo.report.alike import side_by_side
from ulzoo.report.terminal import chosen, json_of, refused, text_of


def run(arguments: argparse.Namespace) -> int:
    runs = read_apart(arguments.directories)
    rows = chosen(side_by_side(runs), arguments.metrics)
    print(json_of(runs, rows) if arguments.json else text_of(runs, rows))
    bad = refused(rows)
    if arguments.metrics and bad:
        names = ", ".join(row.name for row in bad)
        raise RunError(f"not compared, because it was not measured alike: {names}")
    if not any(row.comparable for row in rows):
        raise RunError("nothing to compare: no number was measured alike in two of these runs")
    return 0
