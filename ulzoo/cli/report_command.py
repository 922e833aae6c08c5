"""`ulzoo report RUN [RUN…]`: the page of a run, or of several beside each other."""

from __future__ import annotations

import argparse

from ulzoo.report import write_comparison, write_report


def run(arguments: argparse.Namespace) -> None:
    if len(arguments.directories) == 1:
        path = write_report(arguments.directories[0], arguments.out)
    else:
        path = write_comparison(arguments.directories, arguments.out or "comparison.html")
    print(f"report: {path}")
