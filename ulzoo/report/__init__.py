"""One page of a run, or of several beside each other: a file that opens anywhere, without network.

Everything on it comes from the files of the run directory, so it can be made again without the model, and of
a run that was stopped or damaged. Loads no JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ulzoo.errors import RunError

if TYPE_CHECKING:
    from ulzoo.report.reading import RunData

EXTRA = "pip install 'ulzoo[report]'"
MOST = 8
"""Runs on one page that can be told apart by line and colour."""

_PACKAGES = ("jinja2", "matplotlib")


def missing_packages() -> tuple[str, ...]:
    """The packages of the extra `report` that are not installed."""
    return tuple(name for name in _PACKAGES if find_spec(name) is None)


def write_report(directory: str | Path, path: str | Path | None = None) -> Path:
    """Writes the report of one run.

    Args:
        path: where to; by default `report.html` in the run directory.

    Raises:
        RunError: no run directory, a page that cannot be written, or the extra `report` is not installed.
    """
    _require()
    from ulzoo.report.page import page
    from ulzoo.report.reading import read_run

    run = read_run(directory)
    return _write(page(run), run.report_path if path is None else Path(path))


def write_comparison(directories: Sequence[str | Path], path: str | Path = "comparison.html") -> Path:
    """Writes a page that shows several runs beside each other.

    Args:
        directories: two or more runs; the first is the one that the others are compared with.

    Raises:
        RunError: as `write_report`, or one run is given twice, or fewer than two or more than eight are.
    """
    _require()
    runs = read_apart(directories)
    from ulzoo.report.settings import differences

    settings = differences(runs)
    # Not before: what draws loads NumPy, after which specs can no longer be read without JAX.
    from ulzoo.report.comparison import comparison

    return _write(comparison(runs, settings), Path(path))


def read_apart(directories: Sequence[str | Path]) -> list[RunData]:
    """Several runs as their files tell them, to be compared.

    Raises:
        RunError: no run directory, one run is given twice, or fewer than two or more than eight are.
    """
    from ulzoo.report.reading import read_run

    if not 2 <= len(directories) <= MOST:
        raise RunError(f"a comparison shows 2 to {MOST} runs, got {len(directories)}")
    places = [Path(directory).resolve() for directory in directories]
    if twice := [str(given) for given, at in zip(directories, places, strict=True) if places.count(at) > 1]:
        raise RunError(f"{twice[0]}: given twice; a run is not compared with itself")
    return [read_run(directory) for directory in directories]


def _require() -> None:
    if absent := missing_packages():
        raise RunError(f"a report needs {' and '.join(absent)}, not installed here\n    {EXTRA}")


def _write(text: str, path: Path) -> Path:
    from ulzoo.atomic import write_atomic
    from ulzoo.report.rendering import MARK

    try:
        if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:1000]:
            raise RunError(f"{path}: there is another file of this name; choose one with --out")
        write_atomic(path, text)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path
