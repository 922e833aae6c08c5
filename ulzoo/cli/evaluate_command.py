"""`ulzoo evaluate RUN`."""

from __future__ import annotations

import argparse

from ulzoo.cli.reporting import note
from ulzoo.cli.run_command import say
from ulzoo.errors import RunError
from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> None:
    with Run.open(arguments.directory, write=True) as run:
        from ulzoo.experiment import Experiment, metric_stage
        from ulzoo.showing import report_on
        from ulzoo.stages import evaluate_stage, evaluation_of, spec_of
        from ulzoo.trackers.opening import open_trackers

        spec = spec_of(run, note=note)
        if arguments.stage == 2 and spec.stage2 is None:
            raise RunError(f"{run.directory}: the spec has no stage 2")
        if isinstance(arguments.checkpoint, int) and arguments.stage is None:
            raise RunError("--checkpoint with a step needs --stage: whose step is it?")
        trained = [stage for stage in (1, 2) if f"stage{stage}" in run.finished()]
        stages = trained if arguments.stage is None else [arguments.stage]
        if not stages:
            raise RunError(
                f"{run.directory}: no stage is trained yet\n"
                f"    go on with: ulzoo run --resume {run.directory}"
            )
        wanted = [stage for stage in stages if any(metric_stage(config) == stage for config in spec.evaluate)]
        if not wanted:
            names = " or ".join(map(str, stages))
            raise RunError(f"{run.directory}: the spec's `evaluate` names no metric of stage {names}")
        experiment = Experiment.of(spec)
        run.track(open_trackers(spec, run.directory))
        for stage in wanted:
            evaluate_stage(
                run, experiment, evaluation_of(run, experiment, stage, checkpoint=arguments.checkpoint), say
            )
        if run.report_path.exists():
            report_on(run, say)
