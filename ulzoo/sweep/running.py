"""Doing the runs of a sweep: each in a directory of its own, one after the other, none twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError, UlzooError
from ulzoo.experiment import Experiment, check_fit
from ulzoo.run import Run
from ulzoo.spec import Spec, diff, dump_yaml, load_spec
from ulzoo.spec.text import read_text
from ulzoo.stages import create_run, parts_of, run_all, spec_of
from ulzoo.sweep.grid import Point

GRID = "grid.json"
"""What tells a sweep's directory from another: which runs it has."""
RUNS = "runs"

Say = Callable[[str], None]


def run_points(
    path: str | Path,
    points: Sequence[Point],
    out: str | Path,
    *,
    stages: Sequence[int] = (1, 2),
    say: Say = print,
    after: Callable[[], object] = lambda: None,
) -> list[str]:
    """Do every run that is not finished; what fails is told, and the others are done.

    Args:
        path: the spec that every point overrides.
        out: of the sweep; absent, empty or a sweep's. A run is `out/runs/<name>`, an ordinary run directory.
        after: called when a run has ended, in whatever way.

    Returns:
        one sentence for each run that failed.

    Raises:
        SpecError: with what is wrong with any of the specs, before anything is trained.
        RunError: the directory is taken, or holds a run of this name with another spec.
        KeyboardInterrupt: the run in progress is saved; the same call goes on.
    """
    out = Path(out)
    specs = [(point, load_spec(path, dict(point.overrides))) for point in points]
    _refuse_other(out, specs)
    for point, spec in specs:
        if not _begun(_directory(out, point)):
            check_fit(spec)
    _note_grid(out, path, points, stages)
    failures: list[str] = []
    for number, (point, spec) in enumerate(specs, start=1):
        say(f"run {number} of {len(points)}: {point.name}")
        try:
            _run(_directory(out, point), path, point, spec, stages, say)
        except UlzooError as error:
            failures.append(f"{point.name}: {error}")
            say(f"failed: {error}")
        after()
    return failures


def _run(
    directory: Path, path: str | Path, point: Point, spec: Spec, stages: Sequence[int], say: Say
) -> None:
    if directory.exists() and not _begun(directory):
        # Killed while it was made: it never was a run.
        shutil.rmtree(directory)
    if directory.exists():
        run = Run.open(directory, write=True)
    else:
        given = "".join(f"\n# --set {name}={json.dumps(value)}" for name, value in point.overrides.items())
        run = create_run(spec, directory, spec_text=read_text(path) + given)
    with run:
        wanted = set(parts_of(spec, [stage for stage in stages if stage == 1 or spec.stage2 is not None]))
        if wanted <= set(run.finished()):
            say("finished already")
            return
        run_all(run, Experiment.of(spec_of(run)), stages=stages, say=say)
    # The next run compiles its own programs; these would be kept for the rest of the process.
    jax.clear_caches()


def _refuse_other(out: Path, specs: Sequence[tuple[Point, Spec]]) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / GRID).is_file():
        raise RunError(f"{out}: the directory is not empty, and no sweep\n    choose another --out")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: there is a file of this name\n    choose another --out")
    for point, spec in specs:
        directory = _directory(out, point)
        resolved = directory / "resolved.yaml"
        if not _begun(directory) or (resolved.is_file() and read_text(resolved) == dump_yaml(spec)):
            continue
        changed = []
        if resolved.is_file():
            # Fields that came since the run was started have their defaults in both.
            started = load_spec(resolved)
            if dump_yaml(started) == dump_yaml(spec):
                continue
            changed = [change.path for change in diff(started, spec)]
        told = f": {', '.join(changed[:6])}" if changed else ""
        raise RunError(
            f"{directory}: was started with another spec{told}\n"
            "    give the spec as it was, or choose another --out for the new one"
        )


def _note_grid(out: Path, path: str | Path, points: Sequence[Point], stages: Sequence[int]) -> None:
    grid: dict[str, Any] = {
        "spec": str(path),
        "stages": list(stages),
        "runs": [
            {"name": point.name, "group": point.group, "overrides": dict(point.overrides)} for point in points
        ],
    }
    try:
        (out / RUNS).mkdir(parents=True, exist_ok=True)
        write_atomic(out / GRID, json.dumps(grid, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error


def _begun(directory: Path) -> bool:
    """Whether it is a run: one that was not made to its end is none."""
    return (directory / "manifest.json").exists()


def _directory(out: Path, point: Point) -> Path:
    return out / RUNS / point.name
