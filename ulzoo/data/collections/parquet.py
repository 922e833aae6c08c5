"""Pictures in Parquet files, as Hugging Face datasets write them."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from ulzoo.data.collection import NamedCollection, Names, Picture
from ulzoo.data.decode import MAX_BYTES, CorruptImage
from ulzoo.data.storage import Blob, shards
from ulzoo.errors import DataError

_MOST_GROUPS = 4
"""Row groups that are kept in memory: a pass in order reads each once."""


class ParquetCollection(NamedCollection):
    """A name is the file's name and the row in it.

    Parquet is stored by groups of rows, and a group is the least that can be read: a pass in order is fast,
    random access costs a group for each record. `ulzoo data prepare` makes shards for that.
    """

    def __init__(self, root: str, *, image: str, label: str | None, caption: str | None) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise DataError(
                f"{root}: reading Parquet needs another package: pip install 'ulzoo[parquet]'"
            ) from error
        self._image, self._caption = image, caption
        self._files = shards(root, (".parquet",), "Parquet files")
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()
        names: list[str] = []
        labels: list[np.ndarray] = []
        ends: list[tuple[int, int, int]] = []
        for number, file in enumerate(self._files):
            opened = self._open(file)
            self._check_columns(opened, file, label)
            rows = opened.metadata.num_rows
            names += [f"{file.name}:{row}" for row in range(rows)]
            ends += [
                (number, group, opened.metadata.row_group(group).num_rows)
                for group in range(opened.metadata.num_row_groups)
            ]
            if label is not None:
                labels.append(_labels(opened, label, file))
                self.class_names = self.class_names or _class_names(opened, label)
        self._table = np.array(ends, np.int64).reshape(-1, 3)
        self._starts = np.concatenate([[0], np.cumsum(self._table[:, 2])])
        super().__init__(root, Names.of(names), np.concatenate(labels) if labels else None)

    def __getitem__(self, index: int) -> Picture:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        rows = self._group(int(self._table[group, 0]), int(self._table[group, 1]))
        row = index - int(self._starts[group])
        value = rows[self._image][row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) or not data:
            path = value.get("path") if isinstance(value, dict) else None
            raise CorruptImage(
                f"no bytes, only the path {path!r}, which is not followed" if path else "no bytes"
            )
        if len(data) > MAX_BYTES:
            raise CorruptImage(f"{len(data)} bytes are more than {MAX_BYTES}")
        caption = rows[self._caption][row].as_py() if self._caption is not None else None
        return Picture(self.name(index), data, self.label(index), caption)

    def contents(self) -> bytes:
        """Sizes of the files."""
        return f"{[file.size for file in self._files]}".encode()

    def written(self) -> bytes:
        return f"{[file.stamp for file in self._files]}".encode()

    def _group(self, file: int, group: int) -> Any:
        # The library's files are not made for several threads; decoding, the larger part, is outside.
        with self._lock:
            key = (file, group)
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
            columns = [self._image] + ([self._caption] if self._caption is not None else [])
            try:
                table = self._open(self._files[file]).read_row_group(group, columns=columns)
            except DataError:
                raise
            except Exception as error:
                raise DataError(
                    f"{self._files[file].path!r}: row group {group} is damaged: {error}"
                ) from error
            self._groups[key] = {name: table.column(name) for name in columns}
            while len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
            return self._groups[key]

    def _open(self, file: Blob) -> Any:
        import pyarrow.parquet as parquet

        try:
            return parquet.ParquetFile(file.open())
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{file.path!r} is no sound Parquet file: {error}") from error

    def _check_columns(self, opened: Any, file: Blob, label: str | None) -> None:
        import pyarrow

        schema = opened.schema_arrow
        for field, name in (
            ("image_column", self._image),
            ("label_column", label),
            ("caption_column", self._caption),
        ):
            if name is not None and name not in schema.names:
                hint = "; to do without, set labels: none" if field == "label_column" else ""
                there = ", ".join(schema.names)
                raise DataError(f"{file.path!r} has no column {name!r} ({field}), but {there}{hint}")
        kind = schema.field(self._image).type
        binary = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
        if not binary and not (pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
            raise DataError(f"{file.path!r}: column {self._image!r} holds {kind}, no pictures")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_groups": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}


def _labels(opened: Any, column: str, file: Blob) -> np.ndarray:
    values = opened.read(columns=[column]).column(column)
    try:
        labels = values.to_numpy(zero_copy_only=False) if values.null_count == 0 else None
    except Exception:
        labels = None
    if labels is None or labels.dtype.kind not in "iu" or (len(labels) and labels.min() < 0):
        raise DataError(
            f"{file.path!r}: column {column!r} does not hold a class, a whole number from 0, in every row"
        )
    return labels.astype(np.int32)


def _class_names(opened: Any, column: str) -> tuple[str, ...] | None:
    """What Hugging Face datasets note beside the columns: the names of a `ClassLabel`."""
    notes = (opened.schema_arrow.metadata or {}).get(b"huggingface", b"")
    try:
        names = json.loads(notes)["info"]["features"][column]["names"]
    except (TypeError, ValueError, KeyError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None
