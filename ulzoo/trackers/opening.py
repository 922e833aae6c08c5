"""From the spec's `trackers` to trackers that follow a run; what they lack is said before any work."""

from __future__ import annotations

from pathlib import Path

from ulzoo.errors import InterfaceError, Problem, SpecError
from ulzoo.spec import Spec, problem_at, resolved, spec_hash
from ulzoo.trackers.base import Tracker, TrackerIO, Trackers


def check_trackers(spec: Spec) -> None:
    """Raises SpecError for trackers that cannot work here, such as for want of a package.

    A tracker's configuration may say so by a method `check()`, which raises InterfaceError.
    """
    problems = []
    for i, config in enumerate(spec.trackers):
        check = getattr(config, "check", None)
        try:
            if check is not None:
                check()
        except InterfaceError as error:
            problems.append(_problem(spec, i, error))
    if problems:
        raise SpecError(problems)


def open_trackers(spec: Spec, directory: Path) -> Trackers:
    """The spec's trackers, ready to follow the run in `directory`.

    Raises:
        SpecError: one cannot be made.
    """
    check_trackers(spec)
    io = TrackerIO(directory, spec.name or "run", resolved(spec), spec_hash(spec))
    made: list[Tracker] = []
    try:
        for i, config in enumerate(spec.trackers):
            try:
                made.append(config.build(io, key=None))
            except InterfaceError as error:
                raise SpecError([_problem(spec, i, error)]) from error
    except BaseException:
        Trackers(made).close()
        raise
    return Trackers(made)


def _problem(spec: Spec, i: int, error: InterfaceError) -> Problem:
    return problem_at(spec, f"trackers.{i}.{error.path}".rstrip("."), f"{spec.trackers[i].type} {error.text}")
