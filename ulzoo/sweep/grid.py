"""Which runs a sweep has: every combination of the values of its axes. No JAX."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ulzoo.errors import RunError, SpecError
from ulzoo.spec.dump import flow_yaml
from ulzoo.spec.text import parse

SEED = "seed"
LONGEST = 80
MOST_RUNS = 1000


@dataclass(frozen=True)
class Axis:
    """A dotted path of the spec, and the values that it takes."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        name: of its directory.
        group: runs of one group differ in their seed alone.
        overrides: dotted path → plain value.
    """

    name: str
    group: str
    overrides: Mapping[str, Any]


def parse_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """`a.b=1,2` → an axis; values as in a YAML list, so that a comma inside brackets does not part them.

    Raises:
        RunError: no path, no value, a path or a value twice.
    """
    axes: list[Axis] = []
    for text in texts:
        path, equals, given = (part.strip() for part in text.partition("="))
        if not equals or not all(path.split(".")):
            raise RunError(f"--set {text}: expected PATH=VALUE,VALUE, such as stage1.steps=100,200")
        try:
            values = parse(f"[{given}]", f"--set {text}").data
        except SpecError as error:
            raise RunError(f"--set {text}: {error.problems[0].text}") from None
        shown = [flow_yaml(value) for value in values] if isinstance(values, list) else []
        if not shown:
            raise RunError(f"--set {text}: no value")
        if twice := [value for value in shown if shown.count(value) > 1]:
            raise RunError(f"--set {text}: {twice[0]} is given twice")
        if path in (axis.path for axis in axes):
            raise RunError(f"--set {text}: {path} is given twice; write its values in one --set, with commas")
        axes.append(Axis(path, tuple(values)))
    return tuple(axes)


def grid(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """Every combination, the last axis fastest; a directory is named by its values alone.

    Raises:
        RunError: more than a thousand runs, or two that would have one name.
    """
    words = _short_paths([axis.path for axis in axes])
    points = []
    for values in itertools.product(*(axis.values for axis in axes)):
        pairs = list(zip(axes, values, strict=True))
        told = [(words[axis.path], axis.path, flow_yaml(value)) for axis, value in pairs]
        group = ", ".join(f"{word} {value}" for word, path, value in told if path != SEED)
        name = ",".join(f"{word}={value}" for word, _, value in told)
        overrides = {axis.path: value for axis, value in pairs}
        points.append(Point(folder_name(name), group or "all", overrides))
        if len(points) > MOST_RUNS:
            raise RunError(f"more than {MOST_RUNS} runs; a sweep is a small grid")
    check_names(points)
    return tuple(points)


def check_names(points: Sequence[Point]) -> None:
    """Raises RunError if two runs would have one directory."""
    names = [point.name.lower() for point in points]
    if twice := [point for point in points if names.count(point.name.lower()) > 1]:
        both = " and ".join(str(dict(point.overrides)) for point in twice[:2])
        raise RunError(f"two runs would have one directory, {twice[0].name!r}: {both}")


def folder_name(text: str) -> str:
    """A file name that says what the text does; a long text's is cut and ends with its checksum."""
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", text).strip("._") or "run"
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{zlib.crc32(text.encode()):08x}"


def _short_paths(paths: Sequence[str]) -> dict[str, str]:
    """The last word of each path, or as many as tell it from the others."""
    found = {}
    for path in paths:
        parts = path.split(".")
        for count in range(1, len(parts) + 1):
            tail = ".".join(parts[-count:])
            if sum(f".{other}".endswith(f".{tail}") for other in paths) == 1:
                break
        found[path] = tail
    return found
