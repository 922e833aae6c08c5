"""`ulzoo check SPEC…`: everything that can be known before the first FLOP."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ulzoo.cli.loading import load_checked
from ulzoo.cli.reporting import report, warn
from ulzoo.errors import UlzooError

if TYPE_CHECKING:
    from ulzoo.explanation import Explanation


def run(arguments: argparse.Namespace) -> int:
    failed = False
    for path in arguments.specs:
        try:
            explanation = check(path, arguments.overrides)
        except UlzooError as error:
            # The other files are checked all the same.
            report(error)
            failed = True
            continue
        if arguments.explain:
            print(f"{path}: ok\n{explanation}", flush=True)
        else:
            print(told(path, explanation), flush=True)
            warn(explanation.warnings)
        failed |= arguments.strict and bool(explanation.warnings)
    return 2 if failed else 0


def check(path: str, overrides: list[str]) -> Explanation:
    """A spec that is right, explained.

    Raises:
        SpecError: with every problem found, each with file, line and column.
    """
    spec = load_checked(path, overrides)
    from ulzoo.explanation import explain

    return explain(spec)


def told(path: str, explanation: Explanation) -> str:
    """What is printed of a spec that is right."""
    from ulzoo.explanation import summary
    from ulzoo.spec import spec_hash

    return "\n".join((f"{path}: ok, spec {spec_hash(explanation.spec)[:12]}", *summary(explanation)))
