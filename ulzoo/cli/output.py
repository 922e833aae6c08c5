"""Folders that commands write pictures into."""

from __future__ import annotations

from pathlib import Path

from ulzoo.errors import RunError


def empty_folder(given: str | None, default: Path) -> Path:
    """A folder without anything in it: the one given, or the next number under `default`.

    Raises:
        RunError: the one given is not empty, or cannot be made.
    """
    path = _numbered(default) if given is None else Path(given)
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    if taken:
        raise RunError(f"{path}: is not empty; choose another --out")
    return path


def _numbered(folder: Path) -> Path:
    taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return folder / next(name for i in range(1, 10**6) if (name := f"{i:04d}") not in taken)
