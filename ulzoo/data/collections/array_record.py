"""Pictures in ArrayRecord shards: ours, with names and labels beside them, or plain ones of picture files."""

from __future__ import annotations

import bisect
import itertools
import json
import struct
import threading
from typing import Any, ClassVar

import numpy as np

from ulzoo.data.collection import NamedCollection, Names, Picture, unique
from ulzoo.data.decode import CorruptImage
from ulzoo.data.index_cache import Arrays, remembered
from ulzoo.data.storage import Blob, blob, local_copy, shards
from ulzoo.errors import DataError

MAGIC = b"ULZ1"
SUFFIX = ".array_record"
INDEX = ".index.npz"
"""Ending of the file beside a shard that holds its names and labels."""
_LENGTH = struct.Struct("<I")


def pack(payload: bytes, **facts: Any) -> bytes:
    """One record: `ULZ1`, length of the facts (4 bytes, little endian), the facts as JSON, the payload."""
    text = json.dumps({k: v for k, v in facts.items() if v is not None}, ensure_ascii=False).encode(
        "utf-8", "surrogateescape"
    )
    return MAGIC + _LENGTH.pack(len(text)) + text + payload


def unpack(record: bytes) -> tuple[dict[str, Any], bytes]:
    """Facts and payload of a record; no facts for a record that is not ours.

    Raises:
        ValueError: cut or damaged.
    """
    text, payload = divide(record)
    facts = json.loads(text.decode("utf-8", "surrogateescape")) if text else {}
    if not isinstance(facts, dict):
        raise ValueError("the record's facts are no table")
    return facts, payload


def divide(record: bytes) -> tuple[bytes, bytes]:
    """The facts of a record, not parsed, and its payload. Raises ValueError: the record is cut."""
    if record[:4] != MAGIC:
        return b"", record
    start = 4 + _LENGTH.size
    if len(record) < start:
        raise ValueError("the record is cut")
    end = start + _LENGTH.unpack_from(record, 4)[0]
    if len(record) < end:
        raise ValueError("the record is cut")
    return record[start:end], record[end:]


class Shards:
    """Random access to the records of ArrayRecord files. Thread-safe; readers are opened when first used."""

    def __init__(self, files: list[Blob]) -> None:
        self.files = files
        self._paths = [str(local_copy(file)) for file in files]
        self._readers: list[Any] = [None] * len(files)
        self._lock = threading.Lock()
        self.counts = [self._reader(number).num_records() for number in range(len(files))]
        self._starts = list(itertools.accumulate(self.counts, initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def place(self, index: int) -> tuple[int, int]:
        """Number of the shard that holds a record, and its place there."""
        shard = bisect.bisect_right(self._starts, index) - 1
        return shard, index - self._starts[shard]

    def __getitem__(self, index: int) -> bytes:
        """Raises CorruptImage: the record is damaged."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard, place = self.place(index)
        try:
            record: bytes = self._reader(shard).read([place])[0]
            return record
        except Exception as error:
            # The library raises whatever its C++ code finds; a checksum that is wrong is one of them.
            raise CorruptImage(f"{self.files[shard].name}: {error}") from error

    def _reader(self, number: int) -> Any:
        if self._readers[number] is None:
            with self._lock:
                if self._readers[number] is None:
                    self._readers[number] = open_reader(self._paths[number])
        return self._readers[number]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": [None] * len(self.files), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}


def open_reader(path: str) -> Any:
    """A reader for random access. Raises DataError."""
    from array_record.python.array_record_module import ArrayRecordReader

    try:
        # Reading ahead helps a pass in order and wastes a disk's time at random.
        return ArrayRecordReader(path, options="readahead_buffer_size:0", file_reader_buffer_size=1 << 15)
    except Exception as error:
        raise DataError(f"{path!r} is no sound ArrayRecord file: {error}") from error


class ArrayRecordCollection(NamedCollection):
    """Names are those that the records were prepared from; of plain shards, file name and number."""

    kind: ClassVar[str] = "ulzoo pictures"
    """What a manifest beside the shards must call its records."""

    def __init__(self, root: str, *, labelled: bool) -> None:
        files = shards(root, (SUFFIX,), "ArrayRecord shards")
        self._records = Shards(files)
        tables = [_table(files[n], n, self._records) for n in range(len(files))]
        names = Names.of(
            name for table in tables for name in Names.from_arrays(table["names"], table["ends"])
        )
        labels = np.concatenate([table["labels"] for table in tables])
        if labelled and len(labels) and labels.min() < 0:
            missing = names[int(np.argmin(labels))]
            raise DataError(f"{root!r}: {missing!r} has no label; to do without, set labels: none")
        manifest = read_manifest(files[0])
        if manifest.get("kind", self.kind) != self.kind:
            raise DataError(f"{root!r} holds {manifest['kind']!r}, not {self.kind!r}")
        self._sha256 = str(manifest.get("sha256", ""))
        if labelled and manifest.get("classes"):
            self.class_names = tuple(map(str, manifest["classes"]))
        super().__init__(root, unique(names, root), labels if labelled else None)

    def __getitem__(self, index: int) -> Picture:
        try:
            text, payload = divide(self._records[index])
            # Names and labels are known: most records need not be parsed.
            caption = json.loads(text).get("caption") if b'"caption"' in text else None
        except ValueError as error:
            raise CorruptImage(str(error)) from error
        return Picture(self.name(index), payload, self.label(index), caption)

    def contents(self) -> bytes:
        """SHA-256 of the shards, where a manifest has it, and their sizes."""
        return f"{self._sha256} {[file.size for file in self._records.files]}".encode()

    def written(self) -> bytes:
        return f"{[file.stamp for file in self._records.files]}".encode()


def read_manifest(shard: Blob) -> dict[str, Any]:
    """`manifest.json` beside a shard, empty if there is none."""
    path = shard.path.rpartition("/")[0] + "/manifest.json"
    try:
        found = blob(path)
        data = json.loads(found.read(0, found.size))
    except (DataError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _table(file: Blob, number: int, records: Shards) -> Arrays:
    """Names and labels of a shard: from the file beside it, or by reading the shard once."""
    beside = file.path.removesuffix(SUFFIX) + INDEX
    try:
        index = blob(beside)
    except DataError:
        key = {"array_record": file.path, "size": file.size, "stamp": file.stamp}
        return remembered(key, lambda: _scan(file, number, records))
    try:
        with np.load(str(local_copy(index)), allow_pickle=False) as opened:
            table = {name: opened[name] for name in ("names", "ends", "labels")}
        right = len(table["labels"]) == len(table["ends"]) == records.counts[number]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(
            f"{beside!r} is damaged: {error}; remove it, and the shard is read instead"
        ) from error
    if not right:
        raise DataError(f"{beside!r} is of another shard; remove it, and the shard is read instead")
    return table


def _scan(file: Blob, number: int, records: Shards) -> Arrays:
    names, labels = [], []
    start = sum(records.counts[:number])
    for place in range(records.counts[number]):
        try:
            facts, _ = unpack(records[start + place])
        except (CorruptImage, ValueError):
            facts = {}
        names.append(str(facts.get("name", f"{file.name}:{place}")))
        labels.append(int(facts.get("label", -1)))
    return {**Names.of(names).arrays(), "labels": np.array(labels, np.int32)}
