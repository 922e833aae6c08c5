"""Tar shards in the WebDataset layout: indexed once, then read at random."""

from __future__ import annotations

import os
import tarfile
from pathlib import PurePosixPath

import numpy as np

from ulzoo.data.collection import NamedCollection, Names, Picture, unique
from ulzoo.data.decode import MAX_BYTES, CorruptImage
from ulzoo.data.index_cache import Arrays, remembered
from ulzoo.data.listing import SUFFIXES
from ulzoo.data.storage import Blob, shards
from ulzoo.errors import DataError

_LABEL, _CAPTIONS = "cls", ("txt", "caption")
_MOST_TEXT = 1 << 20


class TarCollection(NamedCollection):
    """A name is the shard's file name and the record's key in it."""

    def __init__(self, root: str, *, labelled: bool) -> None:
        self._shards = shards(root, (".tar",), "tar shards")
        tables = [
            remembered({"tar": s.path, "size": s.size, "stamp": s.stamp}, lambda s=s: _index(s))  # type: ignore[misc]
            for s in self._shards
        ]
        names = Names.of(
            f"{shard.name}/{key}"
            for shard, table in zip(self._shards, tables, strict=True)
            for key in Names.from_arrays(table["names"], table["ends"])
        )
        self._spans = np.concatenate([table["spans"] for table in tables])
        self._shard = np.repeat(np.arange(len(tables)), [len(table["spans"]) for table in tables])
        labels = np.concatenate([table["labels"] for table in tables])
        if labelled and len(labels) and labels.min() < 0:
            missing = names[int(np.argmin(labels))]
            raise DataError(
                f"{root!r}: {missing!r} has no class (a .cls file); to do without, set labels: none"
            )
        super().__init__(root, unique(names, root), labels if labelled else None)

    def __getitem__(self, index: int) -> Picture:
        name, file = self.name(index), self._shards[self._shard[index]]
        offset, size, caption, length = self._spans[index].tolist()
        if size > MAX_BYTES:
            raise CorruptImage(f"{size} bytes are more than {MAX_BYTES}")
        text = file.read(caption, length).decode("utf-8", "replace").strip() if length else None
        return Picture(name, file.read(offset, size), self.label(index), text)

    def contents(self) -> bytes:
        """Sizes of pictures and captions."""
        return self._spans[:, 1::2].astype("<i8").tobytes()

    def written(self) -> bytes:
        return f"{[shard.stamp for shard in self._shards]}".encode()


def _index(shard: Blob) -> Arrays:
    """Keys, labels (−1: none), and where picture and caption of each record lie."""
    keys: list[str] = []
    spans: list[list[int]] = []
    labels: list[int] = []
    parts: dict[str, tarfile.TarInfo] = {}

    def finish(key: str, file: tarfile.TarFile) -> None:
        picture = next((parts[end[1:]] for end in SUFFIXES if end[1:] in parts), None)
        if picture is not None:
            caption = next((parts[end] for end in _CAPTIONS if end in parts), None)
            if caption is not None and caption.size > _MOST_TEXT:
                raise DataError(f"{shard.path!r}: caption of {key!r} has {caption.size} bytes")
            keys.append(key)
            labels.append(_label(file, parts[_LABEL], shard.path) if _LABEL in parts else -1)
            span = [picture.offset_data, picture.size]
            spans.append(span + ([caption.offset_data, caption.size] if caption is not None else [0, 0]))
        parts.clear()

    try:
        with shard.open() as opened, tarfile.open(fileobj=opened, mode="r:") as file:
            current = ""
            for member in file:
                _refuse(member, shard)
                if not member.isreg():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, end = base.partition(".")
                if not stem:  # hidden
                    continue
                key = f"{folder}/{stem}" if folder else stem
                if key != current:
                    finish(current, file)
                current, parts[end.lower()] = key, member
                # An index of a million members must not keep them all.
                file.members = []  # type: ignore[attr-defined]
            finish(current, file)
    except tarfile.TarError as error:
        hint = "; compressed shards cannot be read at random, unpack them (gunzip)"
        packed = shard.read(0, min(2, shard.size)) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")
        raise DataError(f"{shard.path!r} is no sound tar file: {error}{hint if packed else ''}") from error
    names = Names.of(keys)
    return {
        **names.arrays(),
        "spans": np.array(spans, np.int64).reshape(-1, 4),
        "labels": np.array(labels, np.int32),
    }


def _label(file: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> int:
    opened = file.extractfile(member)
    text = opened.read(32) if opened is not None else b""
    try:
        label = int(text)
    except ValueError:
        label = -1
    if label < 0:
        raise DataError(f"{where!r}: {member.name!r} holds no class, a whole number from 0, but {text!r}")
    return label


def _refuse(member: tarfile.TarInfo, shard: Blob) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{shard.path!r}: {member.name!r} leads out of the archive; it is not read")
    if (member.issym() or member.islnk()) and os.path.splitext(member.name)[1].lower() in SUFFIXES:
        raise DataError(f"{shard.path!r}: {member.name!r} is a link; these are not followed")
    if member.offset_data + member.size > shard.size:
        raise DataError(f"{shard.path!r} is cut: {member.name!r} goes on beyond its end")
