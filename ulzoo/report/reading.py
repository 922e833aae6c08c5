"""What a run directory holds, as far as it can be read; what cannot is said, not raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ulzoo.errors import RunError, SpecError
from ulzoo.records import Record
from ulzoo.run import Run
from ulzoo.spec.text import parse

T = TypeVar("T")
Points = list[tuple[int, float]]


@dataclass(frozen=True)
class RunData:
    """A run as its files tell it.

    Attributes:
        directory: where it is.
        spec: the resolved spec as plain data; empty if it cannot be read.
        spec_text: the spec as given.
        resolved_text: with every default.
        manifest: see `Run.create`; empty if it cannot be read.
        finished: parts that are done.
        records: all that could be read, in order.
        timings: see `ulzoo.timing`.
        grid: what `samples/grid.png` shows; empty if that is not known.
        faults: what could not be read, a sentence each.
        report_path, resolved_path, records_path, grid_path, examples: places of these files, which may
            be missing.
    """

    directory: Path
    spec: Mapping[str, Any]
    spec_text: str
    resolved_text: str
    manifest: Mapping[str, Any]
    finished: tuple[str, ...]
    records: tuple[Record, ...]
    timings: tuple[Mapping[str, Any], ...]
    grid: Mapping[str, Any]
    faults: tuple[str, ...]
    report_path: Path
    resolved_path: Path
    records_path: Path
    grid_path: Path
    examples: Path

    @property
    def name(self) -> str:
        """The spec's name, else the directory's."""
        return str(self.spec.get("name") or self.directory.resolve().name)

    @cached_property
    def measured(self) -> dict[str, Record]:
        """The latest record of each name that is not of training, in order of first appearance."""
        return {record.name: record for record in self.records if not record.is_training}

    def curve(self, name: str) -> Points:
        """(step, value) of a training record, rising.

        Where steps come again, as in a run that was continued, what came last counts.
        """
        points: Points = []
        for record in self.records:
            if record.name == name and record.is_training:
                while points and points[-1][0] >= record.step:
                    points.pop()
                points.append((record.step, record.value))
        return points

    def setting(self, path: str, default: Any = None) -> Any:
        """A value of the spec by dotted path."""
        value: Any = self.spec
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return default if value is None else value

    def split_of_rate(self) -> Record | None:
        """The record of a rate that is split by noise level and position, if there is one."""
        found = [record for record in self.measured.values() if "by_noise_level" in record.extra]
        return found[0] if found else None


def read_run(directory: str | Path) -> RunData:
    """Reads a run directory.

    Raises:
        RunError: there is none, or nothing in it is of a run.
    """
    path = Path(directory)
    if not path.is_dir():
        raise RunError(f"{path}: no such run directory")
    # Not `Run.open`, which refuses what is incomplete.
    run = Run(path, None)
    records_path = path / "metrics.jsonl"
    known = (run.spec_path, run.resolved_path, path / "manifest.json", records_path)
    if not any(file.is_file() for file in known):
        raise RunError(f"{path}: not a run directory: {', '.join(file.name for file in known)} missing")
    faults: list[str] = []

    def attempt(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except FileNotFoundError as error:
            faults.append(f"{error.filename}: missing")
            return otherwise
        except (RunError, SpecError, OSError, ValueError) as error:
            faults.append(str(error).splitlines()[0])
            return otherwise

    resolved_text = attempt(lambda: _text(run.resolved_path), "")
    nothing: tuple[list[Record], list[str]] = ([], [])
    records, lines = attempt(run.readable_records, nothing)
    finished: tuple[str, ...] = attempt(run.finished, ())
    # A run at its beginning has no records yet.
    if finished and not records_path.exists():
        faults.append(f"{records_path}: missing")
    grid_path = run.samples / "grid.png"
    grid: Mapping[str, Any] = {}
    if grid_path.exists():
        grid = attempt(lambda: _table(grid_path.with_suffix(".json")), grid)
    return RunData(
        directory=path,
        spec=attempt(lambda: _mapping(parse(resolved_text, str(run.resolved_path)).data), {}),
        spec_text=attempt(lambda: _text(run.spec_path), ""),
        resolved_text=resolved_text,
        manifest=attempt(run.manifest, {}),
        finished=finished,
        records=tuple(records),
        timings=tuple(attempt(run.timings, [])),
        grid=grid,
        faults=(*faults, *lines),
        report_path=run.report_path,
        resolved_path=run.resolved_path,
        records_path=records_path,
        grid_path=grid_path,
        examples=run.examples,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _table(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return _mapping(json.loads(_text(path)))
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
