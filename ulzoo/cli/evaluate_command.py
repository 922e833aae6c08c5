"""`ulzoo evaluate RUN`."""

from __future__ import annotations

import argparse

from ulzoo.cli.run_command import say
from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> None:
    from ulzoo.run import Run
    from ulzoo.stages import Experiment, evaluate_stage, metric_stage, spec_of

    with Run.open(arguments.directory, write=True) as run:
        spec = spec_of(run)
        trained = [stage for stage in (1, 2) if f"stage{stage}" in run.finished()]
        stages = trained if arguments.stage is None else [arguments.stage]
        if not stages:
            raise RunError(f"{run.directory}: no stage is trained yet")
        wanted = [stage for stage in stages if any(metric_stage(config) == stage for config in spec.evaluate)]
        if not wanted:
            raise RunError(f"{run.directory}: the spec's `evaluate` names no metric of stage {stages[0]}")
        experiment = Experiment.of(spec)
        for stage in wanted:
            evaluate_stage(run, experiment, stage, say)
