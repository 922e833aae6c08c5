"""`ulzoo run SPEC` and `ulzoo run --resume DIR`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ulzoo.cli.interruption import resumable
from ulzoo.cli.loading import load_checked
from ulzoo.cli.reporting import note, warn
from ulzoo.cli.together import Together
from ulzoo.errors import RunError
from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    if arguments.resume is not None:
        _refuse(arguments)
        directory = _resume(arguments.resume, Together(arguments))
    elif arguments.spec is None:
        raise RunError("give a spec, or --resume DIR")
    else:
        directory = start(arguments, arguments.spec, (1, 2), ("run", "--resume", "RUN"))
    say(f"done in {time.monotonic() - started:.0f} s: {directory}")


def start(
    arguments: argparse.Namespace, path: str, stages: tuple[int, ...], continuation: tuple[str, ...]
) -> Path:
    """Check a spec, make a run of it and do the stages; returns the run's directory.

    Args:
        continuation: the command that goes on after an interruption, `RUN` standing for the directory.
    """
    if Path(path).is_dir():
        hint = (
            f"\n    continue a run with: ulzoo run --resume {path}"
            if (Path(path) / "manifest.json").is_file()
            else ""
        )
        raise RunError(f"{path}: is a folder, not a spec{hint}")
    overrides, out = arguments.overrides, arguments.out
    together = Together(arguments)
    if out is not None and together.leads:
        Run.refuse_taken(out)
    spec = load_checked(path, overrides)
    together.join(spec, f"stages {stages}")
    from ulzoo.experiment import Experiment
    from ulzoo.explanation import spec_warnings
    from ulzoo.spec import spec_hash
    from ulzoo.spec.text import read_text
    from ulzoo.stages import create_run, run_all
    from ulzoo.trackers.opening import check_trackers

    check_trackers(spec)
    experiment = Experiment.of(spec)
    if together.leads:
        warn(spec_warnings(spec, experiment.assembly, experiment.reports))
    text = read_text(path) + "".join(f"\n# --set {override}" for override in overrides)
    with (
        together.create(lambda: create_run(spec, out, spec_text=text)) as run,
        resumable(run.directory, *continuation),
    ):
        say(f"run directory: {run.directory}")
        say(f"spec {spec_hash(spec)[:12]}")
        run_all(run, experiment, stages=stages, say=say)
        together.part()
        return run.directory


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def _resume(directory: str, together: Together) -> Path:
    with together.open(directory) as run, resumable(run.directory, "run", "--resume", "RUN"):
        from ulzoo.experiment import Experiment
        from ulzoo.stages import parts_of, run_all, spec_of

        spec = spec_of(run, note=note)
        together.join(spec, "resume")
        if set(parts_of(spec)) <= set(run.finished()):
            say(f"{run.directory}: finished already")
        else:
            run_all(run, Experiment.of(spec), say=say)
        together.part()
        return run.directory


def _refuse(arguments: argparse.Namespace) -> None:
    for given, what in ((arguments.spec, "a spec"), (arguments.out, "--out"), (arguments.overrides, "--set")):
        if given:
            raise RunError(f"--resume continues a run as it was started; leave out {what}")
