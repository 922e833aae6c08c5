"""What the specs of several runs differ in. Imports no numerical library: reading specs then needs no JAX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ulzoo.declarations import load_declared
from ulzoo.errors import UlzooError
from ulzoo.report.numbers import flat
from ulzoo.report.reading import RunData
from ulzoo.spec import ABSENT, Effect, Spec, diff


@dataclass(frozen=True)
class Setting:
    """One value of the spec: dotted path, what it has an effect on, each run's value; "" where unknown."""

    path: str
    effect: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """Settings that differ, those that decide the trained weights first.

    Attributes:
        rows: one for each setting.
        problem: why the specs could only be compared as texts, so that no effect is known; empty if they
            could be loaded.
    """

    rows: tuple[Setting, ...]
    problem: str = ""


def differences(runs: Sequence[RunData]) -> Differences:
    """Compares the resolved specs of several runs.

    Where one cannot be loaded any more, as without a plugin that it names, the texts are compared and
    nothing is known of what a difference means.
    """
    specs = []
    for run in runs:
        try:
            specs.append(load_declared(run.resolved_path))
        except UlzooError as error:
            return Differences(tuple(_text_rows(runs)), str(error).splitlines()[0])
    return Differences(tuple(_rows(specs)))


def _rows(specs: Sequence[Spec]) -> list[Setting]:
    rows: dict[str, tuple[Effect, list[str]]] = {}
    for k, other in enumerate(specs[1:], start=1):
        for change in diff(specs[0], other):
            row = rows.setdefault(change.path, (change.effect, [_value(change.old)] * len(specs)))
            row[1][k] = _value(change.new)
    order = sorted(rows.items(), key=lambda row: list(Effect).index(row[1][0]))
    found = [Setting(path, effect.value, tuple(values)) for path, (effect, values) in order]
    # Of a component that only some have, its name says all; its fields have no counterpart.
    return [row for row in found if "" not in row.values or row.path.rpartition(".")[2] == "type"]


def _text_rows(runs: Sequence[RunData]) -> list[Setting]:
    specs = [flat(run.spec) for run in runs]
    paths = dict.fromkeys(path for spec in specs for path in spec)
    values = [(path, tuple(spec.get(path, "") for spec in specs)) for path in paths]
    return [Setting(path, "", each) for path, each in values if len(set(each)) > 1]


def _value(value: object) -> str:
    if value is ABSENT:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
