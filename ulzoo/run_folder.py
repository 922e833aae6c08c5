"""The folder of a run: made under a name of its own, free, and held by one process."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path

from ulzoo.errors import RunError


def fresh_folder(root: Path, started: datetime, name: str) -> Path:
    """Makes a folder with a name of its own."""
    root.mkdir(parents=True, exist_ok=True)
    label = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"
    stem = f"{started:%Y%m%d-%H%M%S}-{label}"
    count = 1
    while True:
        path = root / (stem if count == 1 else f"{stem}-{count}")
        try:
            path.mkdir()
        except FileExistsError:
            count += 1
        else:
            return path


def refuse_taken(path: Path) -> None:
    """Raises RunError if the folder holds anything but a lock."""
    if (path / "manifest.json").exists():
        raise RunError(
            f"{path}: there is a run in this directory already\n"
            f"    continue it with --resume {path}, or choose another directory with --out"
        )
    if any(entry.name != ".lock" for entry in path.iterdir()):
        raise RunError(f"{path}: the directory is not empty\n    choose another directory with --out")


def take_lock(path: Path) -> TextIOWrapper:
    """The open lock file; the lock ends with it, or with the process, however that ends.

    Raises:
        RunError: another process has it.
    """
    file = (path / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise RunError(
            f"{path}: in use by another process (process id {owner})\n"
            "    wait until it ends or stop it; reading needs no lock: sample, reconstruct, report"
        ) from None
    except BaseException:
        file.close()
        raise
    file.truncate(0)
    file.write(f"{os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file
