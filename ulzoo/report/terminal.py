"""Several runs beside each other as text, and as JSON: only numbers that were measured alike stand side by
side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ulzoo.errors import RunError
from ulzoo.report.alike import SideBySide
from ulzoo.report.numbers import short
from ulzoo.report.reading import RunData


def chosen(rows: Sequence[SideBySide], names: Sequence[str]) -> list[SideBySide]:
    """The rows that are asked for: a record's whole name, or its last part; all rows for no names.

    Raises:
        RunError: no run has a number of that name.
    """
    if not names:
        return list(rows)
    found = []
    for name in names:
        matching = [row for row in rows if name in (row.name, row.name.rpartition("/")[2])]
        if not matching:
            known = ", ".join(sorted({row.name for row in rows})) or "none at all"
            raise RunError(f"no run has measured {name!r}\n    measured: {known}")
        found += [row for row in matching if row not in found]
    return found


def refused(rows: Sequence[SideBySide]) -> list[SideBySide]:
    """Numbers that several runs have and that were not measured alike."""
    return [row for row in rows if row.differs]


def text_of(runs: Sequence[RunData], rows: Sequence[SideBySide]) -> str:
    """Runs by letter, a table of what may be compared, and why the rest may not."""
    letters = letters_of(runs)
    lines = [
        *(f"{letter}  {run.directory}  {_about(run)}" for letter, run in zip(letters, runs, strict=True)),
        "",
    ]
    alike = [row for row in rows if row.comparable]
    if alike:
        table = [("", *letters)]
        table += [
            (f"{row.name}{f' ({row.units})' if row.units else ''}", *map(_cell, row.records)) for row in alike
        ]
        lines += [*_aligned(table), ""]
    for row in refused(rows):
        lines.append(f"{row.name}: not compared, measured in different ways")
        for field, values in row.differs:
            told = (f"{letter} {value}" for letter, value in zip(letters, values, strict=True) if value)
            lines.append(f"    {field}: {' · '.join(_cut(part) for part in told)}")
    alone = [row for row in rows if len(row.measured) == 1]
    if alone:
        lines.append("measured in one run only:")
        for row in alone:
            (letter,) = (letter for letter, r in zip(letters, row.records, strict=True) if r is not None)
            lines.append(f"    {row.name}: {letter}")
    return "\n".join(lines).rstrip()


def json_of(runs: Sequence[RunData], rows: Sequence[SideBySide]) -> str:
    """The same for programs; numbers that may not be compared are left out of it as well."""
    letters = letters_of(runs)

    def by_run(values: Sequence[Any]) -> dict[str, Any]:
        return {
            letter: value for letter, value in zip(letters, values, strict=True) if value not in (None, "")
        }

    data = {
        "runs": {
            letter: {
                "directory": str(run.directory),
                "name": run.name,
                "spec_hash": run.manifest.get("spec_hash"),
            }
            for letter, run in zip(letters, runs, strict=True)
        },
        "compared": [
            {
                "name": row.name,
                "unit": row.measured[0].unit,
                "values": by_run([None if r is None else r.value for r in row.records]),
                "intervals": by_run([None if r is None else r.interval for r in row.records]),
            }
            for row in rows
            if row.comparable
        ],
        "refused": [
            {"name": row.name, "differs": {field: by_run(values) for field, values in row.differs}}
            for row in refused(rows)
        ],
        "alone": {
            row.name: next(letter for letter, r in zip(letters, row.records, strict=True) if r is not None)
            for row in rows
            if len(row.measured) == 1
        },
    }
    return json.dumps(data, ensure_ascii=False, indent=2)


def letters_of(runs: Sequence[RunData]) -> list[str]:
    return [chr(ord("A") + index) for index in range(len(runs))]


def _about(run: RunData) -> str:
    hashed = str(run.manifest.get("spec_hash", ""))[:12]
    return f"{run.name}, spec {hashed}" if hashed else run.name


def _cell(record: Any) -> str:
    if record is None:
        return "not measured"
    interval = "" if record.interval is None else f" [{', '.join(map(short, record.interval))}]"
    word = record.protocol.get("rate")
    return f"{short(record.value)}{interval}{f' ({word})' if word else ''}"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
