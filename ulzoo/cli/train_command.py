"""`ulzoo train SPEC|RUN --stage 1|2`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ulzoo.cli.run_command import say, start
from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> None:
    if not Path(arguments.target).is_dir():
        if arguments.stage == 2:
            raise RunError("stage 2 needs a run whose stage 1 is trained: ulzoo train RUN --stage 2")
        print(f"done: {start(arguments.target, arguments.overrides, arguments.out, (1,))}")
        return
    if arguments.overrides or arguments.out:
        raise RunError("a run is continued as it was started; --set and --out go with a spec")
    from ulzoo.run import Run
    from ulzoo.stages import run_all, spec_of

    with Run.open(arguments.target, write=True) as run:
        spec = spec_of(run)
        if arguments.stage == 2:
            if spec.stage2 is None:
                raise RunError(f"{run.directory}: the spec has no stage 2")
            if "stage1" not in run.finished():
                raise RunError(
                    f"{run.directory}: stage 1 is not finished\n"
                    f"    train it with: ulzoo train {run.directory} --stage 1"
                )
        part = f"stage{arguments.stage}"
        if part in run.finished():
            print(f"{run.directory}: stage {arguments.stage} is trained already")
        run_all(run, spec, stages=(arguments.stage,), say=say)
        print(f"done: {run.directory}")
