"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def write_atomic(path: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path` such that a reader, or a crash, sees the old file or the new one.

    Raises:
        OSError: the folder is missing or full, or may not be written.
    """
    with being_written(path) as file:
        file.write(text)


@contextmanager
def being_written(path: Path) -> Iterator[TextIO]:
    """A file of text (UTF-8) that takes the place of `path` once the block has come to its end.

    Bytes of file names that are no Unicode are written as they are.

    Raises:
        OSError: as of `write_atomic`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
