"""Which picture files a folder holds, what class each is of, and which are held out. A function of names
alone."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from ulzoo.data.collection import Names
from ulzoo.data.index_cache import recall, remember
from ulzoo.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
KEPT_FROM = 10_000
"""Pictures from which on a listing is kept between runs; smaller ones take less time than finding it."""
_SETTLED = 2.0
"""Seconds after which a folder that is changed again has another time: coarser file systems are rare."""


def list_pictures(root: Path, suffixes: tuple[str, ...] = SUFFIXES) -> Names:
    """As `find_pictures`; a long listing is kept, with the times of all folders, and used until one of them
    changes."""
    key = json.dumps({"version": 1, "listing of": str(root.resolve()), "suffixes": suffixes})
    kept = recall(key)
    if kept is not None:
        folders = Names.from_arrays(kept["folders"], kept["folder_ends"])
        if _times(root, folders) == kept["times"].tolist():
            return Names.from_arrays(kept["names"], kept["ends"])
    began = time.time()
    found: list[str] = []
    names = Names.of(find_pictures(root, found, suffixes))
    if len(names) >= KEPT_FROM:
        folders = Names.of(found)
        times = _times(root, folders)
        # A folder that was changed just now could be changed again without another time.
        if times is not None and max(times) < (began - _SETTLED) * 1e9:
            table = folders.arrays()
            arrays = {"folders": table["names"], "folder_ends": table["ends"], "times": np.array(times)}
            remember(key, {**arrays, **names.arrays()})
    return names


def find_pictures(
    root: Path, folders: list[str] | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> list[str]:
    """Paths of pictures at any depth, relative to `root`, sorted; hidden files and folders are left out.

    Args:
        suffixes: of the files that are meant, in small letters.
        folders: receives the relative path of every folder that was looked into.

    Raises:
        DataError: `root` is no readable folder; a symbolic link leads out of it, to a folder, or nowhere. A
            link could show other files tomorrow, or the same ones twice, so none is followed silently.
    """
    if not root.is_dir():
        raise DataError(f"no folder {str(root)!r} (relative paths start at {str(Path.cwd())!r})")
    inside = root.resolve()
    found: list[str] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        if folders is not None:
            folders.append(prefix)
        try:
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    elif entry.is_symlink() and _leads_to_folder(entry):
                        raise DataError(
                            f"{str(root / name)!r} is a symbolic link to a folder; these are not followed"
                        )
                    elif name.lower().endswith(suffixes):
                        if entry.is_symlink() and not _leads_inside(root / name, inside):
                            raise DataError(
                                f"{str(root / name)!r} is a symbolic link that leads out of"
                                f" {str(root)!r} or nowhere"
                            )
                        found.append(name)
        except OSError as error:
            raise DataError(f"cannot read folder {error.filename!r}: {error.strerror}") from error
    # Sorted as bytes: the same order under every locale and file system.
    return sorted(found, key=os.fsencode)


def _times(root: Path, folders: Iterable[str]) -> list[int] | None:
    """When each folder was last changed, in nanoseconds; None if one is gone."""
    try:
        return [os.stat(root / folder).st_mtime_ns for folder in folders]
    except OSError:
        return None


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:
        return False


def _leads_inside(link: Path, inside: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # nowhere, or in circles
        return False
    return target.is_file() and target.is_relative_to(inside)


def folder_classes(names: Iterable[str], where: str) -> list[str]:
    """Names of the folders directly under the root that hold pictures, sorted: class 0, 1, ….

    Raises:
        DataError: a picture lies in the root itself and so has no class.
    """
    found = set()
    for name in names:
        first, slash, _ = name.partition("/")
        if not slash:
            raise DataError(
                f"{where.rstrip('/') + '/' + name!r} lies in no class folder;"
                " move it into one, or set labels: none"
            )
        found.add(first)
    return sorted(found, key=os.fsencode)


def is_held_out(path: PurePosixPath | str, fraction: float) -> bool:
    """Whether a hash of the relative path falls under `fraction`: adding files moves no other file across."""
    digest = hashlib.blake2b(os.fsencode(str(path)), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64
