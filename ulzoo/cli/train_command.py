"""`ulzoo train SPEC|RUN --stage 1|2`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ulzoo.cli.interruption import resumable
from ulzoo.cli.reporting import note
from ulzoo.cli.run_command import say, start
from ulzoo.cli.together import Together
from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> None:
    stage = arguments.stage
    continuation = ("train", "RUN", "--stage", str(stage))
    if not Path(arguments.target).exists():
        raise RunError(f"{arguments.target}: there is neither a spec nor a run directory of this name")
    if not Path(arguments.target).is_dir():
        if stage == 2:
            raise RunError(
                f"{arguments.target}: stage 2 needs a run whose stage 1 is trained: ulzoo train RUN --stage 2"
            )
        say(f"done: {start(arguments, arguments.target, (1,), continuation)}")
        return
    if arguments.overrides or arguments.out:
        raise RunError("a run is continued as it was started; --set and --out go with a spec")
    together = Together(arguments)
    with together.open(arguments.target) as run, resumable(run.directory, *continuation):
        from ulzoo.experiment import Experiment
        from ulzoo.stages import parts_of, run_all, spec_of

        spec = spec_of(run, note=note)
        together.join(spec, f"stage {stage}")
        if stage == 2 and spec.stage2 is None:
            raise RunError(f"{run.directory}: the spec has no stage 2")
        if stage == 2 and "stage1" not in run.finished():
            raise RunError(
                f"{run.directory}: stage 1 is not finished\n"
                f"    train it with: ulzoo train {run.directory} --stage 1"
            )
        if set(parts_of(spec, (stage,))) <= set(run.finished()):
            say(f"{run.directory}: stage {stage} is finished already")
        else:
            run_all(run, Experiment.of(spec), stages=(stage,), say=say)
            say(f"done: {run.directory}")
        together.part()
