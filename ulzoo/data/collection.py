"""The contract of records as they are stored: what a place full of pictures must offer to become a dataset.

A collection knows nothing of sizes, crops and splits: `ulzoo.data.picture_source` decodes, crops and divides
the records of any collection in one way. To bring a format of your own, derive one class from `Collection`
with `__len__` and `__getitem__`, and one from `ulzoo.data.pictures.PictureDataset` that opens it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ulzoo.errors import DataError


@dataclass(frozen=True, slots=True)
class Picture:
    """One record as it is stored.

    Attributes:
        name: unique in its collection, and the same wherever the collection lies: the split into training and
            held-out records is a function of it.
        image: an encoded JPEG, PNG or WebP file, or pixels, uint8 (h, w) or (h, w, 1, 3 or 4).
        label: class, 0 or more; None without.
        caption: a text, None without.
    """

    name: str
    image: bytes | np.ndarray
    label: int | None = None
    caption: str | None = None


class Collection:
    """Random access to stored records. Calls come from several threads at once."""

    where: str = ""
    """What messages call it: a path or an address."""

    class_names: tuple[str, ...] | None = None
    """Names of class 0, 1, …; None where they are not known."""

    what: str = "pictures (.jpg, .jpeg, .png, .webp)"
    """What messages call its records."""

    has_captions: bool = True
    """False where no record can have a caption, so that none needs to be read for it."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Picture:
        """Record `index`, the same at every call.

        Raises:
            CorruptImage: this record is damaged (`ulzoo.data.decode`); whether that ends a run is for the
                dataset's policy to say.
            DataError: nothing can be said of the record, such as when a disk or a network fails.
        """
        raise NotImplementedError

    def name(self, index: int) -> str:
        """The name of record `index`; override it where a name can be had without reading the picture."""
        return self[index].name

    @property
    def num_classes(self) -> int | None:
        """How many classes the labels are of, None where only the reader of all records would know."""
        return None if self.class_names is None else len(self.class_names)

    def contents(self) -> bytes:
        """What is known of the records' bytes without reading them, such as sizes or checksums; empty where
        nothing is. The same wherever the collection lies."""
        return b""

    def written(self) -> bytes:
        """When the files that the records lie in were written, or what their file system tells in place of
        it; empty where nothing is known, and where `contents` knows of every byte."""
        return b""

    def fingerprint(self) -> str:
        """SHA-256 (hex) that changes when records are added, removed, renamed or sorted into other classes,
        and when `contents` does."""
        digest = hashlib.sha256(self.contents())
        for index in range(len(self)):
            digest.update(self.name(index).encode("utf-8", "surrogateescape") + b"\n")
        return digest.hexdigest()


class Names(Sequence[str]):
    """Many names in little memory: one piece of bytes, and where each ends.

    A list of ten million strings takes a gigabyte; this takes what the names' letters take.
    """

    def __init__(self, data: bytes, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """From strings; bytes of file names that are no Unicode are kept."""
        parts = [os.fsencode(name) for name in names]
        return cls(b"".join(parts), np.cumsum([len(part) for part in parts], dtype=np.int64))

    @classmethod
    def from_arrays(cls, data: np.ndarray, ends: np.ndarray) -> Names:
        """From what `arrays` gave. Raises ValueError if the two do not belong together."""
        if len(ends) and (ends[-1] != len(data) or (np.diff(ends) < 0).any() or ends[0] < 0):
            raise ValueError("names and their ends do not belong together")
        return cls(data.astype(np.uint8).tobytes(), ends.astype(np.int64))

    def arrays(self) -> dict[str, np.ndarray]:
        """`names` uint8 and `ends` int64, for a file."""
        return {"names": np.frombuffer(self.data, np.uint8), "ends": self.ends}

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]  # slices are not needed
        if not 0 <= index < len(self.ends):
            raise IndexError(index)
        return os.fsdecode(self.data[self.ends[index - 1] if index else 0 : self.ends[index]])

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends.tolist():
            yield os.fsdecode(self.data[start:end])
            start = end

    def digest(self, labels: np.ndarray | None = None) -> str:
        """SHA-256 (hex) of the names, and of labels beside them."""
        digest = hashlib.sha256(self.data)
        digest.update(self.ends.astype("<i8").tobytes())
        if labels is not None:
            digest.update(labels.astype("<i4").tobytes())
        return digest.hexdigest()


class NamedCollection(Collection):
    """A collection whose names, and labels if it has any, are known once it is open."""

    def __init__(self, where: str, names: Names, labels: np.ndarray | None) -> None:
        self.where, self._names, self._labels = where, names, labels

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return self._names[index]

    def label(self, index: int) -> int | None:
        """Class of record `index`, None without."""
        return None if self._labels is None or self._labels[index] < 0 else int(self._labels[index])

    @property
    def labelled(self) -> bool:
        """Whether every record has a label."""
        return self._labels is not None and bool((self._labels >= 0).all())

    @property
    def num_classes(self) -> int | None:
        if self.class_names is not None:
            return len(self.class_names)
        return int(self._labels.max()) + 1 if self._labels is not None and len(self._labels) else None

    def fingerprint(self) -> str:
        return hashlib.sha256(self._names.digest(self._labels).encode() + self.contents()).hexdigest()


def unique(names: Names, where: str) -> Names:
    """The same names.

    Raises:
        DataError: two of them are the same.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{where!r} holds two records of the name {name!r}")
        seen.add(name)
    return names
