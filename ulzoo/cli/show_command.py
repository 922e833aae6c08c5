"""`ulzoo show SPEC`: the resolved spec, each value with its origin."""

from __future__ import annotations

import argparse

from ulzoo.cli.loading import load_for_reading


def run(arguments: argparse.Namespace) -> None:
    from ulzoo.spec import show

    print(show(load_for_reading(arguments.spec, arguments.overrides)))
