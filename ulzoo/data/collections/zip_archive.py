"""Pictures in a zip archive, read in place. Nothing is ever unpacked to disk."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from pathlib import PurePosixPath

import numpy as np

from ulzoo.data.captions import MOST_BYTES, SUFFIX, beside, caption_of
from ulzoo.data.collection import NamedCollection, Names, Picture, unique
from ulzoo.data.collections.folder import folder_labels
from ulzoo.data.decode import MAX_BYTES, CorruptImage
from ulzoo.data.index_cache import Arrays, remembered
from ulzoo.data.listing import SUFFIXES, folder_classes
from ulzoo.data.storage import Blob, blob
from ulzoo.errors import DataError

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


class ZipCollection(NamedCollection):
    """A name is a path in the archive, a class the first part of it.

    Args:
        captioned: whether captions are read, from entries beside the pictures.
    """

    def __init__(self, root: str, *, labelled: bool, captioned: bool = False) -> None:
        self._file = blob(root)
        key = {"zip": self._file.path, "size": self._file.size, "stamp": self._file.stamp}
        self._table = remembered(key, lambda: _index(self._file, SUFFIXES))
        names = Names.from_arrays(self._table["names"], self._table["ends"])
        labels = None
        if labelled:
            self.class_names = tuple(folder_classes(names, root))
            labels = folder_labels(names, self.class_names)
        super().__init__(root, names, labels)
        self._texts: Arrays = {}
        self._caption: np.ndarray | None = None
        if captioned:
            self._texts = remembered({**key, "suffix": SUFFIX}, lambda: _index(self._file, (SUFFIX,)))
            self._caption = beside(names, Names.from_arrays(self._texts["names"], self._texts["ends"]))
        self.has_captions = self._caption is not None and bool((self._caption >= 0).any())

    def __getitem__(self, index: int) -> Picture:
        return Picture(
            self.name(index), self._read(self._table, index, MAX_BYTES), self.label(index), self._text(index)
        )

    def _text(self, index: int) -> str | None:
        if self._caption is None or (place := int(self._caption[index])) < 0:
            return None
        return caption_of(self._read(self._texts, place, MOST_BYTES))

    def contents(self) -> bytes:
        """Sizes and CRC-32 of all entries, as the archive's directory has them."""
        return self._table["size"].astype("<i8").tobytes() + self._table["crc"].astype("<i8").tobytes()

    def _read(self, table: Arrays, index: int, most: int) -> bytes:
        header, packed, size, method, crc = (int(table[name][index]) for name in _COLUMNS)
        if max(packed, size) > most:
            raise CorruptImage(f"{max(packed, size)} bytes are more than {most}")
        # The local header repeats the name, and may have more extra fields than the directory says.
        start = self._file.read(header, _LOCAL_HEADER.size)
        fields = _LOCAL_HEADER.unpack(start)
        if fields[0] != b"PK\x03\x04":
            raise CorruptImage("no entry where the archive's directory says")
        data = self._file.read(header + _LOCAL_HEADER.size + fields[-2] + fields[-1], packed)
        if method == zipfile.ZIP_DEFLATED:
            try:
                # One byte more than stated is enough to know a bomb; no more is ever unpacked.
                data = zlib.decompressobj(-15).decompress(data, size + 1)
            except zlib.error as error:
                raise CorruptImage(f"damaged compression: {error}") from error
        if len(data) != size or zlib.crc32(data) != crc:
            raise CorruptImage("its content is not what the archive's directory says")
        return data


_COLUMNS = ("header", "packed", "size", "method", "crc")


def _index(file: Blob, suffixes: tuple[str, ...]) -> Arrays:
    """Names of the entries that end as is said, and where each of them lies."""
    try:
        with file.open() as opened, zipfile.ZipFile(opened) as archive:
            entries = [entry for entry in archive.infolist() if _is_meant(entry, suffixes)]
    except (zipfile.BadZipFile, EOFError, struct.error) as error:
        raise DataError(f"{file.path!r} is no sound zip archive: {error}") from error
    for entry in entries:
        _refuse(entry, file.path)
    entries.sort(key=lambda entry: os.fsencode(entry.filename))
    names = unique(Names.of(entry.filename for entry in entries), file.path)
    rows = [
        (entry.header_offset, entry.compress_size, entry.file_size, entry.compress_type, entry.CRC)
        for entry in entries
    ]
    table = np.array(rows, np.int64).reshape(-1, len(_COLUMNS))
    return {**names.arrays(), **{name: table[:, column] for column, name in enumerate(_COLUMNS)}}


def _is_meant(entry: zipfile.ZipInfo, suffixes: tuple[str, ...]) -> bool:
    parts = entry.filename.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts) or parts[0] == "__MACOSX"
    return not entry.is_dir() and not hidden and entry.filename.lower().endswith(suffixes)


def _refuse(entry: zipfile.ZipInfo, where: str) -> None:
    path = PurePosixPath(entry.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in path.parts[0]:
        raise DataError(f"{where!r}: {entry.filename!r} leads out of the archive; it is not read")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{where!r}: {entry.filename!r} is a symbolic link; these are not followed")
    if entry.flag_bits & 0x1:
        raise DataError(f"{where!r}: {entry.filename!r} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{where!r}: {entry.filename!r} is compressed by method {entry.compress_type}; only stored and"
            " deflated entries are read"
        )
