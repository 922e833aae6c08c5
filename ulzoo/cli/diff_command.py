"""`ulzoo diff A B`: what two specs differ in, grouped by what it means."""

from __future__ import annotations

import argparse

from ulzoo.cli.loading import load_for_reading
from ulzoo.cli.reporting import report
from ulzoo.errors import UlzooError


def run(arguments: argparse.Namespace) -> int:
    names = (arguments.old, arguments.new)
    specs = []
    for name in names:
        try:
            specs.append(load_for_reading(name, []))
        except UlzooError as error:
            # The other one's mistakes are told all the same.
            report(error)
    if len(specs) < 2:
        return 2
    from ulzoo.spec import diff_text

    print(diff_text(specs[0], specs[1], names))
    return 0
