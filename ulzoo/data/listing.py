"""Which picture files a folder holds, what class each is of, and which are held out. A function of names
alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ulzoo.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_pictures(root: Path) -> list[PurePosixPath]:
    """Paths of pictures at any depth, relative to `root`, sorted; hidden files and folders are left out.

    Raises:
        DataError: `root` is no readable folder; a symbolic link leads out of it, to a folder, or nowhere. A
            link could show other files tomorrow, or the same ones twice, so none is followed silently.
    """
    if not root.is_dir():
        raise DataError(f"no folder {str(root)!r} (relative paths start at {str(Path.cwd())!r})")
    inside = root.resolve()
    found: list[PurePosixPath] = []
    for folder, subfolders, names in os.walk(root, onerror=_refuse_unreadable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            if (link := Path(folder, name)).is_symlink():
                raise DataError(f"{str(link)!r} is a symbolic link to a folder; these are not followed")
        for name in names:
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            path = Path(folder, name)
            if path.is_symlink() and not _leads_inside(path, inside):
                raise DataError(
                    f"{str(path)!r} is a symbolic link that leads out of {str(root)!r} or nowhere"
                )
            found.append(PurePosixPath(path.relative_to(root).as_posix()))
    # Sorted as bytes: the same order under every locale and file system.
    return sorted(found, key=lambda path: os.fsencode(str(path)))


def _refuse_unreadable(error: OSError) -> None:
    raise DataError(f"cannot read folder {error.filename!r}: {error.strerror}") from error


def _leads_inside(link: Path, inside: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # nowhere, or in circles
        return False
    return target.is_file() and target.is_relative_to(inside)


def class_names(pictures: Sequence[PurePosixPath], root: Path) -> list[str]:
    """Names of the folders directly under `root` that hold pictures, sorted: class 0, 1, ….

    Raises:
        DataError: a picture lies in `root` itself and so has no class.
    """
    for path in pictures:
        if len(path.parts) < 2:
            raise DataError(
                f"{str(root / path)!r} lies in no class folder; move it into one, or set labels: none"
            )
    return sorted({path.parts[0] for path in pictures}, key=os.fsencode)


def is_held_out(path: PurePosixPath, fraction: float) -> bool:
    """Whether a hash of the relative path falls under `fraction`: adding files moves no other file across."""
    digest = hashlib.blake2b(os.fsencode(str(path)), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64
