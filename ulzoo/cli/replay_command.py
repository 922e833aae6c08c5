"""`ulzoo replay RUN`."""

from __future__ import annotations

import argparse

from ulzoo.cli.reporting import note
from ulzoo.cli.run_command import say
from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> int:
    with Run.open(arguments.directory) as opened:
        from ulzoo.blackbox.replaying import replay
        from ulzoo.experiment import Experiment
        from ulzoo.stages import spec_of

        spec = spec_of(opened, note=note)
        replayed = replay(opened, Experiment.of(spec), arguments.stage, arguments.step)
    say("\n".join(replayed.lines()))
    return 0 if replayed.again else 1
