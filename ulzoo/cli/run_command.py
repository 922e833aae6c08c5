"""`ulzoo run SPEC` and `ulzoo run --resume DIR`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    if arguments.resume is not None:
        _refuse(arguments)
        directory = _resume(arguments.resume)
    elif arguments.spec is None:
        raise RunError("give a spec, or --resume DIR")
    else:
        directory = start(arguments.spec, arguments.overrides, arguments.out, (1, 2))
    print(f"done in {time.monotonic() - started:.0f} s: {directory}")


def start(path: str, overrides: list[str], out: str | None, stages: tuple[int, ...]) -> Path:
    """Check a spec, make a run of it and do the stages; returns the run's directory."""
    from ulzoo.spec import load_spec
    from ulzoo.spec.text import read_text

    # Structure first: a typo is told before anything heavy is loaded.
    spec = load_spec(path, overrides)
    from ulzoo.stages import Experiment, create_run, run_all

    Experiment.of(spec)
    text = read_text(path) + "".join(f"\n# --set {override}" for override in overrides)
    with create_run(spec, out, spec_text=text) as run:
        print(f"run directory: {run.directory}")
        run_all(run, spec, stages=stages, say=say)
        return run.directory


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def _resume(directory: str) -> Path:
    from ulzoo.run import Run
    from ulzoo.stages import run_all, spec_of

    with Run.open(directory, write=True) as run:
        run_all(run, spec_of(run), say=say)
        return run.directory


def _refuse(arguments: argparse.Namespace) -> None:
    for given, what in ((arguments.spec, "a spec"), (arguments.out, "--out"), (arguments.overrides, "--set")):
        if given:
            raise RunError(f"--resume continues a run as it was started; leave out {what}")
