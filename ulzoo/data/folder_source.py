"""Opens one split of an image folder: the listing, the labels, the policy for damaged files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ulzoo.data.decode import CorruptImage, Offset, centred, decode
from ulzoo.data.image_folder import DEFAULT_HELDOUT_FRACTION, ImageFolderConfig, folder
from ulzoo.data.listing import class_names, find_pictures, is_held_out
from ulzoo.data.source import Record, Source, Split
from ulzoo.errors import DataError


def open_folder(config: ImageFolderConfig, split: Split) -> FolderSource:
    """One split of an image folder.

    Class numbers come from the folders under `config.root` in either split, so they mean the same in both.

    Raises:
        DataError: no folder, no pictures in the split, classes other than the config says.
    """
    root = folder(config.root)
    pictures = find_pictures(root)
    names = None
    if config.labels == "folder":
        names = class_names(pictures, root)
        if config.classes is not None and config.classes != len(names):
            listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise DataError(f"{str(root)!r} holds {len(names)} classes, not {config.classes}: {listed}")
    if config.heldout_root is None:
        fraction = DEFAULT_HELDOUT_FRACTION if config.heldout_fraction is None else config.heldout_fraction
        pictures = [path for path in pictures if is_held_out(path, fraction) == (split == "heldout")]
    elif split == "heldout":
        root = folder(config.heldout_root)
        pictures = find_pictures(root)
    if not pictures:
        raise DataError(f"no pictures (.jpg, .jpeg, .png, .webp) for the {split} split in {str(root)!r}")
    return FolderSource(root, pictures, None if names is None else _labels(pictures, names, root), config)


def _labels(pictures: Sequence[PurePosixPath], names: Sequence[str], root: Path) -> np.ndarray:
    number = {name: index for index, name in enumerate(names)}
    for name in class_names(pictures, root):
        if name not in number:
            raise DataError(
                f"class {name!r} of {str(root)!r} is not among the classes of the training folder"
            )
    return np.array([number[path.parts[0]] for path in pictures], dtype=np.int32)


class FolderSource(Source):
    """Pictures of one split, decoded at each access. Thread-safe."""

    def __init__(
        self,
        root: Path,
        pictures: Sequence[PurePosixPath],
        labels: np.ndarray | None,
        config: ImageFolderConfig,
    ) -> None:
        # Absolute, so that a later change of the working directory does not move the data.
        self._root = root.absolute()
        self._pictures = pictures
        self._labels = labels
        self._config = config
        self._damaged: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Record:
        return self._record(index, centred)

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """A random crop and flip, where the config asks for them."""
        random_crop = self._config.crop == "random"
        record = self._record(index, lambda: (rng.random(), rng.random()) if random_crop else centred())
        if self._config.flip and rng.random() < 0.5:
            record["image"] = np.ascontiguousarray(record["image"][:, ::-1])
        return record

    @property
    def skipped(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(str(self._pictures[index]) for index in self._damaged))

    def _record(self, index: int, offset: Offset) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(index)
        # The substitute is the next sound picture in the listing: a function of the index and the files,
        # whatever the threads have seen before.
        for step in range(len(self)):
            place = (index + step) % len(self)
            with self._lock:
                if place in self._damaged:
                    continue
            try:
                image = self._decode(place, offset)
            except CorruptImage as error:
                if self._config.corrupt == "error":
                    name = str(self._root / self._pictures[place])
                    raise DataError(
                        f"{name!r} is damaged ({error}); corrupt: skip passes over such files"
                    ) from error
                with self._lock:
                    self._damaged[place] = str(error)
                continue
            record: Record = {"image": image, "index": np.int32(place)}
            if self._labels is not None:
                record["label"] = self._labels[place]
            return record
        raise DataError(f"every one of the {len(self)} pictures in {str(self._root)!r} is damaged")

    def _decode(self, place: int, offset: Offset) -> np.ndarray:
        path = self._root / self._pictures[place]
        try:
            data = path.read_bytes()
        except OSError as error:
            # Not a property of the picture: passing over it would make the stream depend on the weather.
            raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from error
        return decode(
            data,
            self._config.height_width,
            channels=self._config.channels,
            resize=self._config.resize,
            offset=offset,
        )
