"""What the runs of a sweep measured: rows, means over seeds with intervals, JSON and CSV. No JAX."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError
from ulzoo.records import Record
from ulzoo.report.knobs import knobs_of
from ulzoo.report.reading import read_run
from ulzoo.sweep.grid import Point

LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        point: which it is.
        finished: its finished parts.
        spec_hash: of the spec that it was trained with.
        loss_factor, bias: of its decoder, as given or found.
        measured: the latest record of each number, without those of single pictures.
    """

    point: Point
    finished: tuple[str, ...]
    spec_hash: str
    loss_factor: float | None
    bias: float | None
    measured: dict[str, Record]


@dataclass(frozen=True)
class Mean:
    """A number of a group.

    Attributes:
        value: mean over the group's runs, which differ in their seed.
        interval: 95 %: of Student's t over the seeds; for a single run the record's own; None if it has none.
        over: "seeds", or "images" for a record's own interval, or "nothing".
        values: of the runs.
    """

    value: float
    interval: tuple[float, float] | None
    over: str
    values: tuple[float, ...]


def read_rows(out: str | Path, points: Sequence[Point]) -> list[Row]:
    """The runs of a sweep that have begun; those that have not are left out."""
    rows = []
    for point in points:
        try:
            run = read_run(Path(out) / "runs" / point.name)
        except RunError:
            continue
        knobs = knobs_of(run)
        measured = {name: record for name, record in run.measured.items() if "/examples/" not in name}
        spec_hash = str(run.manifest.get("spec_hash", ""))
        rows.append(Row(point, run.finished, spec_hash, knobs.loss_factor, knobs.bias, measured))
    return rows


def names_of(rows: Sequence[Row]) -> list[str]:
    """Names of all that was measured, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.measured))


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group → its runs, in the order of the grid."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.point.group, []).append(row)
    return found


def mean_of(rows: Sequence[Row], name: str) -> Mean | None:
    """A number of one group; None if no run has it."""
    records = [row.measured[name] for row in rows if name in row.measured]
    values = tuple(record.value for record in records)
    if not values:
        return None
    if len(values) == 1:
        interval = records[0].interval
        return Mean(values[0], interval, "images" if interval else "nothing", values)
    return Mean(math.fsum(values) / len(values), t_interval(values), "seeds", values)


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of the mean of two or more values."""
    from scipy.stats import t

    count = len(values)
    mean = math.fsum(values) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    half = float(t.ppf(0.5 + level / 2, count - 1)) * spread
    return mean - half, mean + half


def write_results(out: str | Path, rows: Sequence[Row]) -> None:
    """`results.json`, with intervals and protocols, and `results.csv`, one line a run.

    Raises:
        RunError: they cannot be written.
    """
    out = Path(out)
    try:
        text = json.dumps(results_data(rows), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(out / "results.json", f"{text}\n")
        write_atomic(out / "results.csv", results_csv(rows))
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error


def results_data(rows: Sequence[Row]) -> dict[str, Any]:
    """Plain data: `runs`, and `groups` with means over seeds."""
    names = names_of(rows)
    runs = [
        {
            "name": row.point.name,
            "group": row.point.group,
            "overrides": dict(row.point.overrides),
            "spec_hash": row.spec_hash,
            "finished": list(row.finished),
            "loss_factor": row.loss_factor,
            "bias": row.bias,
            "measured": {name: _plain(record) for name, record in row.measured.items()},
        }
        for row in rows
    ]
    means = {
        group: {name: _finite(asdict(mean)) for name in names if (mean := mean_of(members, name)) is not None}
        for group, members in groups(rows).items()
    }
    return {"runs": runs, "groups": means, "interval": "95 %: Student's t over seeds; of one run its own"}


def results_csv(rows: Sequence[Row]) -> str:
    """One line a run: its overrides, knobs, and each number with the ends of its interval."""
    names = names_of(rows)
    paths = list(dict.fromkeys(path for row in rows for path in row.point.overrides))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [part for name in names for part in (name, f"{name}/low", f"{name}/high")]
    writer.writerow(["run", "group", *paths, "loss_factor", "bias", *columns])
    for row in rows:
        overrides = [row.point.overrides.get(path, "") for path in paths]
        cells: list[Any] = []
        for name in names:
            record = row.measured.get(name)
            ends = (record.interval or ("", "")) if record else ("", "")
            cells += ["" if record is None else record.value, *ends]
        knobs = ["" if value is None else value for value in (row.loss_factor, row.bias)]
        writer.writerow([row.point.name, row.point.group, *overrides, *knobs, *cells])
    return text.getvalue()


def _plain(record: Record) -> dict[str, Any]:
    data = {"value": record.value, "unit": record.unit, "interval": record.interval, "step": record.step}
    return _finite({**data, "protocol": dict(record.protocol)})


def _finite(value: Any) -> Any:
    """As JSON has it: no infinities, no tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
