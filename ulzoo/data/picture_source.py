"""Opens one split of a collection: which records, their labels, decoding, the policy for damaged ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ulzoo.data.collection import Collection, Picture
from ulzoo.data.decode import CorruptImage, Offset, centred, decode, mirrored
from ulzoo.data.listing import is_held_out
from ulzoo.data.patience import Patience
from ulzoo.data.pictures import DEFAULT_HELDOUT_FRACTION, PictureDataset
from ulzoo.data.source import Record, Source, Split
from ulzoo.errors import DataError

SourceT = TypeVar("SourceT", bound="PictureSource")


def open_pictures(config: PictureDataset, split: Split, source: type[SourceT] | None = None) -> SourceT:
    """One split of a dataset of pictures.

    Class numbers come from `config.root` in either split, so they mean the same in both.

    Args:
        source: what reads the records; by default `PictureSource`.

    Raises:
        DataError: no pictures in the split, classes other than the config says.
    """
    collection = config.collect(config.root)
    if config.labelled and config.classes is not None:
        check_classes(collection, config.classes)
    renumber = None
    if config.heldout_root is None:
        places = split_places(collection, config.heldout_fraction, split)
    else:
        if split == "heldout":
            training, collection = collection, config.collect(config.heldout_root)
            if config.labelled:
                renumber = _same_classes(training, collection)
        places = np.arange(len(collection))
    if config.captions and not collection.has_captions:
        raise DataError(f"no captions are stored with the {collection.what} in {collection.where!r}")
    if not len(places):
        raise DataError(f"no {collection.what} for the {split} split in {collection.where!r}")
    classes = config.classes
    if classes is None and config.labelled:
        classes = collection.num_classes
    reads: Any = PictureSource if source is None else source
    return reads(collection, places, config, classes=classes, renumber=renumber)


def split_places(collection: Collection, fraction: float | None, split: Split) -> np.ndarray:
    """Which records a split holds if a fraction, by default 0.1, is held out by the hash of names."""
    fraction = DEFAULT_HELDOUT_FRACTION if fraction is None else fraction
    held = np.fromiter(
        (is_held_out(collection.name(i), fraction) for i in range(len(collection))), bool, len(collection)
    )
    return np.flatnonzero(held if split == "heldout" else ~held)


def check_classes(collection: Collection, classes: int) -> None:
    """Raises DataError: a collection that has another number of classes."""
    names, found = collection.class_names, collection.num_classes
    # Labels without names tell the least number of classes, not the number.
    if found is None or (names is None and found <= classes) or found == classes:
        return
    listed = "" if names is None else ": " + ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    raise DataError(f"{collection.where!r} holds {found} classes, not {classes}{listed}")


def _same_classes(training: Collection, heldout: Collection) -> np.ndarray | None:
    """From the held-out collection's class numbers to those of training, where both have names."""
    if training.class_names is None or heldout.class_names is None:
        return None
    number = {name: index for index, name in enumerate(training.class_names)}
    for name in heldout.class_names:
        if name not in number:
            raise DataError(
                f"class {name!r} of {heldout.where!r} is not among the classes of the training folder"
            )
    return np.array([number[name] for name in heldout.class_names], np.int32)


class PictureSource(Source):
    """Pictures of one split, decoded at each access. Thread-safe.

    Attributes:
        collection: where the records come from.
        places: int64 (n,), which records of it this split holds.
    """

    def __init__(
        self,
        collection: Collection,
        places: np.ndarray,
        config: PictureDataset,
        *,
        classes: int | None = None,
        renumber: np.ndarray | None = None,
    ) -> None:
        self.collection, self.places = collection, places
        self._config, self._classes, self._renumber = config, classes, renumber
        self._patience = Patience(config.timeout)
        self._damaged: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Record:
        return self._record(index, centred)

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """A random crop and flip, where the config asks for them."""
        random_crop = self._config.crop == "random"
        record = self._record(index, lambda: (rng.random(), rng.random()) if random_crop else centred())
        if self._config.flip and rng.random() < 0.5:
            record["image"] = mirrored(record["image"])
        return record

    def record_name(self, index: int) -> str:
        return self.collection.name(int(self.places[index]))

    def caption(self, index: int) -> str | None:
        """Reads the record anew; None for one that is damaged. Raises DataError."""
        if not self.collection.has_captions:
            return None
        try:
            return self.picture(index).caption
        except CorruptImage:
            return None

    def augmentation(self) -> str:
        return "random" if self._config.crop == "random" else "flip" if self._config.flip else "none"

    def picture(self, index: int) -> Picture:
        """Record `index` as it is stored, with its caption. Raises CorruptImage and DataError."""
        return self.collection[int(self.places[index])]

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the collection's names, labels and sizes or checksums; the split is a function of
        the names."""
        return self.collection.fingerprint()

    def written(self) -> str:
        return hashlib.sha256(found).hexdigest() if (found := self.collection.written()) else ""

    @property
    def skipped(self) -> tuple[str, ...]:
        return tuple(sorted(self.faults()))

    def faults(self) -> dict[str, str]:
        """Name and reason of every damaged record that was met."""
        with self._lock:
            found = dict(self._damaged)
        return {self.record_name(index): reason for index, reason in found.items()}

    def under_way(self) -> list[tuple[str, float]]:
        return [(self.record_name(index), seconds) for index, seconds in self._patience.under_way()]

    @property
    def timeout(self) -> float | None:
        return self._config.timeout

    def report_to(self, tell: Callable[[int | None], object]) -> None:
        self._patience.tell = tell

    def condemn(self, index: int, reason: str) -> None:
        """Count a record as damaged from now on, as when it ended the process that read it.

        Raises:
            DataError: by the policy `corrupt: error`.
        """
        if self._config.corrupt == "error":
            raise DataError(
                f"{self._full_name(index)!r} is damaged ({reason}); corrupt: skip passes over such files"
            )
        with self._lock:
            self._damaged[index] = reason

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
                picture, image = self._patience.wait(place, lambda: self._decode(place, offset))  # noqa: B023
            except CorruptImage as error:
                try:
                    self.condemn(place, str(error))
                except DataError as told:
                    raise told from error
                continue
            except DataError:
                raise
            except Exception as error:
                # A collection's mistake, or no memory: as it is, but with the record that it happened at.
                error.add_note(f"while reading {self._full_name(place)!r}")
                raise
            record: Record = {"image": image, "index": np.int32(place)}
            if self._config.labelled:
                record["label"] = self._label(picture, place)
            if self._config.captions:
                record["caption"] = np.str_(picture.caption or "")
            return record
        raise DataError(f"every one of the {len(self)} pictures in {self.collection.where!r} is damaged")

    def _decode(self, place: int, offset: Offset) -> tuple[Picture, np.ndarray]:
        picture = self.picture(place)
        config = self._config
        return picture, decode(
            picture.image,
            config.height_width,
            channels=config.channels,
            resize=config.resize,
            offset=offset,
            crop=config.crop_height_width,
            max_pixels=config.max_pixels,
        )

    def _label(self, picture: Picture, place: int) -> np.int32:
        label = picture.label
        if label is None:
            raise DataError(f"{self._full_name(place)!r} has no label; to do without, set labels: none")
        if self._renumber is not None:
            return np.int32(self._renumber[label])
        if not 0 <= label < (self._classes or label + 1):
            raise DataError(f"{self._full_name(place)!r} is of class {label}, but there are {self._classes}")
        return np.int32(label)

    def _full_name(self, place: int) -> str:
        return f"{self.collection.where.rstrip('/')}/{self.record_name(place)}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}
