"""The tables of a report: measured records with their protocols, timings, environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ulzoo.records import Record
from ulzoo.report.numbers import duration, flat, interval_words, moment, short, title
from ulzoo.report.reading import RunData

_SAME_NUMBER = ("nats", "bits_per_latent_dim", "bytes_per_image")
"""`bits_per_pixel` in other units: in the table, not among the key numbers."""
_DAMAGED = "damaged_records"


@dataclass(frozen=True)
class Measured:
    """One measured number, ready to be shown.

    Attributes:
        name: of the record.
        title: its last part in words.
        value, unit, interval: as text; `interval` may be empty.
        word: "upper bound" or "proxy" for rates, otherwise empty.
        more: further single numbers, (name, value).
        protocol: number of the protocol among the report's.
    """

    name: str
    title: str
    value: str
    unit: str
    interval: str
    word: str
    step: int
    more: tuple[tuple[str, str], ...]
    protocol: int


def measured_rows(run: RunData) -> tuple[list[Measured], list[dict[str, str]]]:
    """Every measured number, and the protocols that they refer to, numbered from 0, without repetition."""
    protocols: list[dict[str, str]] = []
    rows = []
    for record in run.measured.values():
        protocol = flat(record.protocol)
        if protocol not in protocols:
            protocols.append(protocol)
        rows.append(_row(record, protocols.index(protocol)))
    return rows, protocols


def key_numbers(rows: list[Measured]) -> list[Measured]:
    """What a reader asks first: one of each metric, without its other units and without the examples.

    What was wrong with the data comes last, and once: both stages read the same.
    """
    chosen = [row for row in rows if not ("/examples/" in row.name or row.name.endswith("/collapsed"))]
    metrics = [row for row in chosen if row.name.split("/")[-1] not in {*_SAME_NUMBER, _DAMAGED}]
    return metrics + [row for row in chosen if row.name.endswith(f"/{_DAMAGED}")][:1]


def _row(record: Record, protocol: int) -> Measured:
    more = [(name, value) for name, value in record.extra.items() if isinstance(value, int | float)]
    return Measured(
        name=record.name,
        title=title(record.name),
        value=short(record.value),
        unit="" if record.unit == "1" else record.unit,
        interval=interval_words(record.interval),
        word=str(record.protocol.get("rate", "")),
        step=record.step,
        more=tuple((name.replace("_", " "), short(float(value))) for name, value in more),
        protocol=protocol,
    )


def timing_rows(run: RunData) -> list[tuple[str, ...]]:
    """Part, start, duration, steps, first step, speed; one row for each process that worked on a part."""
    rows: list[tuple[str, ...]] = []
    for timing in run.timings:
        steps = timing.get("steps")
        speed = timing.get("images_per_second")
        state = "" if timing.get("finished") else " (interrupted)"
        rows.append(
            (
                f"{timing.get('part', '?')}{state}",
                moment(str(timing.get("started", ""))),
                _seconds(timing.get("seconds")),
                f"{steps[0]} to {steps[1]}" if isinstance(steps, list) and len(steps) == 2 else "",
                _seconds(timing.get("first_step_seconds")),
                "" if not isinstance(speed, int | float) else f"{short(float(speed))} images/s",
            )
        )
    return rows


def total_seconds(run: RunData) -> float | None:
    """All noted work on the run; None without timings."""
    known = [timing["seconds"] for timing in run.timings if isinstance(timing.get("seconds"), int | float)]
    return float(sum(known)) if known else None


def environment_rows(run: RunData) -> list[tuple[str, str]]:
    """What the run depended on beside its spec."""
    manifest = run.manifest
    rows = [(name, str(manifest[name])) for name in ("started", "python") if name in manifest]
    if isinstance(command := manifest.get("command"), list):
        rows.append(("command", " ".join(map(str, command))))
    rows += [(f"hardware {name}", _text(value)) for name, value in _table(manifest, "hardware").items()]
    return rows + [(name, _text(value)) for name, value in _table(manifest, "versions").items()]


def component_rows(run: RunData) -> list[tuple[str, str]]:
    """Each component of the spec and the distribution that it came from."""
    return [(name, _text(value)) for name, value in _table(run.manifest, "components").items()]


def _table(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seconds(value: object) -> str:
    return duration(float(value)) if isinstance(value, int | float) else ""
