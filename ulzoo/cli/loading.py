"""Specs for commands: what can be told without JAX is told before JAX is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ulzoo.cli.reporting import note
from ulzoo.errors import RunError

if TYPE_CHECKING:
    from ulzoo.spec import Spec


def load_checked(path: str, overrides: list[str]) -> Spec:
    """The spec in a file, every component checked by its own class.

    All its mistakes are found on a reading without JAX; only what has none is read again to be built.

    Raises:
        SpecError: with every problem, sorted by place.
    """
    from ulzoo.declarations import load_declared
    from ulzoo.provenance import replaced
    from ulzoo.registry import Registry
    from ulzoo.rules import check_silence
    from ulzoo.spec import load_spec

    registry = Registry.discover()
    check_silence(load_declared(path, overrides, registry))
    spec = load_spec(path, overrides, registry)
    for line in replaced(spec):
        note(line)
    return spec


def load_for_reading(path: str, overrides: list[str]) -> Spec:
    """The spec in a file, or the one that a run was started with; for reading, without JAX.

    Raises:
        SpecError: with every problem, sorted by place.
        RunError: a directory that is no run.
    """
    from ulzoo.declarations import load_declared

    if Path(path).is_dir():
        resolved = Path(path) / "resolved.yaml"
        if not resolved.is_file():
            raise RunError(f"{path}: neither a spec nor a run directory: it has no resolved.yaml")
        path = str(resolved)
    return load_declared(path, overrides)
