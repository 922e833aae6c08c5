"""Measured numbers with all that is needed to compare them, and the file that holds them, one a line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError


@dataclass(frozen=True)
class Record:
    """One number.

    Attributes:
        step: optimiser steps taken by the stage when it was measured.
        stage: "stage1", "stage2" or what else produced it.
        name: such as `stage1/heldout/bits_per_pixel`.
        value: may be infinite or NaN.
        unit: such as "nats", "bits/pixel", "dB", "1" (a ratio).
        protocol: how it was measured (data, N, seed, sampler and steps, EMA, dtype), JSON data; two values
            are comparable if their protocols are equal.
        interval: low and high end of a confidence interval, its level in the protocol.
        extra: further numbers, JSON data, such as a split of the value by noise level.
    """

    step: int
    stage: str
    name: str
    value: float
    unit: str
    protocol: Mapping[str, Any] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_training(self) -> bool:
        """Whether it is an average over steps of training, and not measured afterwards."""
        return "steps" in self.protocol


def record_line(record: Record) -> str:
    """JSON and a newline. JSON has no infinities: they and NaN are the strings "inf", "-inf", "nan"."""
    data: dict[str, Any] = {
        "step": int(record.step),
        "stage": record.stage,
        "name": record.name,
        "value": to_json_number(record.value),
        "unit": record.unit,
        "protocol": dict(record.protocol),
    }
    if record.interval is not None:
        data["interval"] = [to_json_number(end) for end in record.interval]
    if record.extra:
        data["extra"] = dict(record.extra)
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def parse_record(line: str) -> Record:
    """Inverse of `record_line`. Raises ValueError, saying why, for anything else."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not a table")
    try:
        step, stage, name = data.pop("step"), data.pop("stage"), data.pop("name")
        value, unit, protocol = data.pop("value"), data.pop("unit"), data.pop("protocol")
        interval, extra = data.pop("interval", None), data.pop("extra", {})
    except KeyError as error:
        raise ValueError(f"no {error}") from None
    if data:
        raise ValueError(f"unknown entries {sorted(data)}")
    if not isinstance(extra, dict):
        raise ValueError("extra must be a table")
    if not isinstance(protocol, dict) or not all(isinstance(text, str) for text in (stage, name, unit)):
        raise ValueError("stage, name and unit must be text and protocol a table")
    if not isinstance(step, int) or isinstance(step, bool):
        raise ValueError(f"step must be a whole number, got {step!r}")
    if interval is not None:
        if not isinstance(interval, list) or len(interval) != 2:
            raise ValueError(f"interval must be two numbers, got {interval!r}")
        interval = (_from_json(interval[0]), _from_json(interval[1]))
    return Record(step, stage, name, _from_json(value), unit, protocol, interval, extra)


class MetricsFile:
    """A run's metrics.jsonl: writes are flushed; a line cut short by a crash is dropped, not continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIOWrapper | None = None

    def append(self, records: Iterable[Record]) -> None:
        """Writes records at the end, one line each; makes the file if need be.

        Raises:
            RunError: the disk is full, or the file may not be written.
        """
        if self._file is None:
            # Half a line, left by a process that was killed, must not swallow the first of ours.
            self._rewrite(self._complete_lines())
            self._file = self.path.open("a", encoding="utf-8")
        try:
            self._file.write("".join(record_line(record) for record in records))
            self._file.flush()
        except OSError as error:
            # Half a line may be there now, as after a crash; closing would try to write the rest.
            with suppress(OSError):
                self._file.close()
            self._file = None
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def records(self) -> list[Record]:
        """All records, in order. Raises RunError, naming the line, if a complete line is not a record."""
        return [self._parsed(number, line) for number, line in enumerate(self._complete_lines(), start=1)]

    def readable(self) -> tuple[list[Record], list[str]]:
        """As `records`, but passes over complete lines that are no records; and what is wrong with these."""
        found, faults = [], []
        for number, line in enumerate(self._complete_lines(), start=1):
            try:
                found.append(self._parsed(number, line))
            except RunError as error:
                faults.append(str(error))
        return found, faults

    def keep(self, wanted: Callable[[Record], bool]) -> None:
        """Drops all other records. Raises RunError as `records` does, before dropping any."""
        self.close()
        lines = enumerate(self._complete_lines(), start=1)
        self._rewrite([line for number, line in lines if wanted(self._parsed(number, line))])

    def truncate_after(self, stage: str, step: int) -> None:
        """Drops records of `stage` beyond `step`."""
        self.keep(lambda record: record.stage != stage or record.step <= step)

    def order_by_stage(self) -> None:
        """Puts the records of stage 1 before those of stage 2, else as they are."""
        self.close()
        lines = self._complete_lines()
        stages = [self._parsed(number, line).stage for number, line in enumerate(lines, start=1)]
        order = sorted(range(len(lines)), key=lambda k: stages[k])
        if order != list(range(len(lines))):
            write_atomic(self.path, "".join(lines[k] for k in order))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _complete_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        # Bytes that a crash cut in the middle of a letter are in the line that is dropped.
        return [f"{line}\n" for line in self.path.read_bytes().decode(errors="replace").split("\n")[:-1]]

    def _rewrite(self, lines: list[str]) -> None:
        text = "".join(lines)
        if not self.path.exists() or self.path.stat().st_size != len(text.encode()):
            write_atomic(self.path, text)

    def _parsed(self, number: int, line: str) -> Record:
        try:
            return parse_record(line)
        except ValueError as error:
            raise RunError(f"{self.path}:{number}: not a record: {error}") from error


def to_json_number(value: float) -> float | str:
    """A number as JSON has it, which has no infinities; `float` reads them back."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _from_json(value: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, int | float) or value in ("inf", "-inf", "nan")):
        raise ValueError(f"not a number: {value!r}")
    return float(value)
