"""Files of a folder, here or in an object store."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ulzoo.data.captions import MOST_BYTES, SUFFIX, beside, caption_of
from ulzoo.data.collection import NamedCollection, Names, Picture
from ulzoo.data.listing import SUFFIXES, folder_classes, list_pictures
from ulzoo.data.storage import file_system, is_remote, local, read_range, read_whole
from ulzoo.errors import DataError


class FolderCollection(NamedCollection):
    """Pictures at any depth below a folder; a name is a relative path, a class the first part of it.

    Args:
        captioned: whether captions are read, from files beside the pictures.
    """

    def __init__(self, root: str, *, labelled: bool, captioned: bool = False) -> None:
        self._sizes: np.ndarray | None = None
        self._times: np.ndarray | None = None
        if is_remote(root):
            self._base = where = root.rstrip("/")
            names, self._sizes = _list_remote(where, SUFFIXES)
        else:
            folder = local(root)
            names, where = list_pictures(folder), str(folder)
            # Absolute, so that a later change of the working directory does not move the data.
            self._base = str(folder.absolute())
        labels = None
        if labelled:
            self.class_names = tuple(folder_classes(names, where))
            labels = folder_labels(names, self.class_names)
        super().__init__(where, names, labels)
        self._texts = _list_texts(root) if captioned else Names.of(())
        self._caption = beside(names, self._texts) if len(self._texts) else None
        self.has_captions = self._caption is not None and bool((self._caption >= 0).any())

    def __getitem__(self, index: int) -> Picture:
        name = self.name(index)
        # A failing disk is no property of the picture: passing over it would make the stream depend on the
        # weather. So an unreadable file is an error whatever the policy.
        return Picture(name, read_whole(f"{self._base}/{name}"), self.label(index), self._text(index))

    def _text(self, index: int) -> str | None:
        if self._caption is None or (place := int(self._caption[index])) < 0:
            return None
        return caption_of(read_range(f"{self._base}/{self._texts[place]}", 0, MOST_BYTES + 1))

    def contents(self) -> bytes:
        """Sizes of all files. One question to the file system for each, so only when it is asked for."""
        if self._sizes is None:
            self._sizes, self._times = sizes_and_times(self._base, self._names)
        return self._sizes.astype("<i8").tobytes()

    def written(self) -> bytes:
        self.contents()
        return b"" if self._times is None else self._times.astype("<i8").tobytes()


def sizes_and_times(base: str, names: Names) -> tuple[np.ndarray, np.ndarray]:
    """int64 (n,) twice: bytes of each file below a local folder, and when it was written, in nanoseconds.

    Raises:
        DataError: one is gone.
    """
    pair = np.dtype((np.int64, 2))
    try:
        facts = (os.stat(f"{base}/{name}") for name in names)
        found = np.fromiter(((one.st_size, one.st_mtime_ns) for one in facts), pair, len(names))
        return found[:, 0], found[:, 1]
    except OSError as error:
        raise DataError(f"cannot read {error.filename!r}: {error.strerror}") from error


def folder_labels(names: Names, classes: Sequence[str]) -> np.ndarray:
    """int32 (n,): which of the classes each name's first part is."""
    number = {name: index for index, name in enumerate(classes)}
    return np.fromiter((number[name.partition("/")[0]] for name in names), np.int32, len(names))


def _list_texts(root: str) -> Names:
    """Names of the files that may hold captions; links are treated as those of pictures are."""
    if is_remote(root):
        return _list_remote(root.rstrip("/"), (SUFFIX,))[0]
    return list_pictures(local(root), (SUFFIX,))


def _list_remote(root: str, suffixes: tuple[str, ...]) -> tuple[Names, np.ndarray]:
    """Names of files that end as is said, and their sizes."""
    system, inside = file_system(root)
    try:
        found = system.find(inside, detail=True)
    except OSError as error:
        raise DataError(f"cannot list {root!r}: {error}") from error
    prefix = inside.rstrip("/") + "/"
    sizes = {
        path.removeprefix(prefix): int(facts.get("size") or 0)
        for path, facts in found.items()
        if path.startswith(prefix)
    }
    kept = [
        name
        for name in sizes
        if name.lower().endswith(suffixes) and not any(part.startswith(".") for part in name.split("/"))
    ]
    if not kept and not sizes:
        raise DataError(f"no folder {root!r}, or nothing in it")
    kept.sort(key=os.fsencode)
    return Names.of(kept), np.array([sizes[name] for name in kept], np.int64)
