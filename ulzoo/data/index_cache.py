"""What was learnt of large data by reading through it, kept between runs and thrown away when it changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ulzoo.data.storage import cache_folder

Arrays = dict[str, np.ndarray]
VERSION = 1
"""Of the arrays' meaning; a later one does not read an earlier one's files."""


def remembered(key: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """What `make` gives, from the cache if it was made before for an equal key.

    Args:
        key: plain data that changes when the result would, such as paths, sizes and times of files.
    """
    text = json.dumps({"version": VERSION, **key}, sort_keys=True)
    found = recall(text)
    if found is None:
        found = make()
        remember(text, found)
    return found


def recall(key: str) -> Arrays | None:
    """Arrays that were kept under a key, None if there are none, or they are damaged."""
    path = cache_folder() / _file(key)
    # What cannot be read is made again: a cache must never be the reason why something fails.
    with suppress(Exception), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
        if arrays.pop("key").tobytes().decode() == key:
            return arrays
    return None


def remember(key: str, arrays: Arrays) -> None:
    """Keeps arrays under a key; where nothing can be written, does nothing."""
    path = cache_folder() / _file(key)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(temporary, key=np.frombuffer(key.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _file(key: str) -> str:
    return f"index/{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
