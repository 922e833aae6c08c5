"""Video files of a local folder: all of them, or those that a table names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType

import numpy as np

from ulzoo.clips import Encoded
from ulzoo.data.collection import NamedCollection, Names, Picture
from ulzoo.data.collections.folder import folder_labels, sizes_and_times
from ulzoo.data.listing import find_pictures, folder_classes
from ulzoo.data.source import Split
from ulzoo.data.storage import is_remote, local
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.data.videos.kinetics import Row, read_table
from ulzoo.errors import DataError

SUFFIXES = (".mp4", ".webm", ".avi", ".mov", ".mkv", ".gif", ".webp")


class Videos(NamedCollection):
    """Records that are encoded videos, which clips are cut from."""

    has_captions = False
    what = f"videos ({', '.join(SUFFIXES)})"

    missing: Mapping[str, str] = MappingProxyType({})
    """Name and reason of every video that should be there and is not."""

    def encoded(self, picture: Picture) -> Encoded:
        """Where a record's frames are read from."""
        raise NotImplementedError


class _Files(Videos):
    def __init__(self, root: str, names: Names, labels: np.ndarray | None) -> None:
        self._folder = local(root).absolute()
        super().__init__(root, names, labels)

    def contents(self) -> bytes:
        """Sizes of all files."""
        return self._facts[0].astype("<i8").tobytes()

    def written(self) -> bytes:
        return self._facts[1].astype("<i8").tobytes()

    @cached_property
    def _facts(self) -> tuple[np.ndarray, np.ndarray]:
        # One question to the file system for each file: asked once, and only when it is needed.
        return sizes_and_times(str(self._folder), self._names)

    def __getitem__(self, index: int) -> Picture:
        # A video is read frame by frame when a clip is cut from it: a whole one could be gigabytes.
        return Picture(self.name(index), b"", self.label(index))

    def encoded(self, picture: Picture) -> Encoded:
        return Encoded(str(self._folder / picture.name))


class VideoFiles(_Files):
    """Videos at any depth below a local folder; a name is a relative path, a class the first part of it."""

    def __init__(self, root: str, *, labelled: bool) -> None:
        names = Names.of(_find(root))
        labels = None
        if labelled:
            self.class_names = tuple(folder_classes(names, root))
            labels = folder_labels(names, self.class_names)
        super().__init__(root, names, labels)


class ListedVideos(_Files):
    """Videos below a local folder that a table names, one split of it.

    Classes are those of the whole table, sorted by name, so they are the same in every split and whichever
    files are missing.

    Attributes:
        divided: whether the tables say which videos are held out.

    Raises:
        DataError: a table cannot be used, videos are missing and must not be, or two have the same name.
    """

    def __init__(self, config: VideoFolderConfig, split: Split) -> None:
        assert config.csv is not None  # the config has seen to it
        table = read_table(config.csv)
        self.class_names = tuple(sorted({row.label for row in table if row.label}))
        number = {name: index for index, name in enumerate(self.class_names)}
        rows = [row for row in table if row.split in ("train", "")]
        heldout, path = [row for row in table if row.split == config.heldout_split], config.csv
        if config.heldout_csv is not None:
            heldout = read_table(config.heldout_csv)
            if split == "heldout":
                path = config.heldout_csv
        self.divided = bool(heldout) or config.heldout_root is not None
        root = config.root
        if split == "heldout" and self.divided:
            root, rows = config.heldout_root or config.root, heldout
        for row in rows:
            if row.label not in number:
                told = f"no class {row.label!r} in {config.csv}" if row.label else "no label"
                raise DataError(f"{path}:{row.line}: {told}")
        found, self.missing = _matched(root, rows, path, config.missing)
        labels = np.fromiter((number[row.label] for row in found.values()), np.int32, len(found))
        super().__init__(root, Names.of(found), labels)


def _matched(root: str, rows: list[Row], path: str, missing: str) -> tuple[dict[str, Row], dict[str, str]]:
    """The row of each file that one names, in the order of files; and the rows without file."""
    wanted = {row.stem: row for row in rows}
    found: dict[str, Row] = {}
    files: dict[str, str] = {}
    for name in _find(root):
        stem = PurePosixPath(name).stem
        if stem not in wanted:
            continue
        if stem in files:
            raise DataError(f"{root!r} holds two videos {stem!r}: {files[stem]!r} and {name!r}")
        files[stem], found[name] = name, wanted[stem]
    absent = [row for row in rows if row.stem not in files]
    if absent and (missing == "error" or not found):
        first = absent[0]
        raise DataError(
            f"{root!r} lacks {len(absent)} of the {len(rows)} videos that {path!r} names, such as"
            f" {first.stem + '.mp4'!r} (line {first.line}); missing: skip goes on without them"
        )
    return found, {row.stem: f"missing (line {row.line} of {path})" for row in absent}


def _find(root: str) -> list[str]:
    if is_remote(root):
        raise DataError(f"{root!r}: videos are read from local folders; copy them first")
    return sorted(find_pictures(local(root), suffixes=SUFFIXES), key=os.fsencode)
